"""Our model beside PEFT's: which numbers belong together, and how far apart the two are.

And what else lesson 04 looks at: pieces of installed source code, what 16 bits leave of an update (its side trip), and how
large adapters for real 7B shapes are, counted on the meta device, where shapes cost no memory.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ... import lora, models


def twins(ours: nn.Module, peft_model: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Each A and B of ours, with the parameter of PEFT's that holds the same thing."""
    in_peft = dict(peft_model.named_parameters())
    return [
        (getattr(layer, part), in_peft[f"base_model.model.{name}.{part}.default.weight"])
        for name, layer in lora.lora_layers(ours)
        for part in ("lora_A", "lora_B")
    ]


def gap(couples: Iterable[tuple[Tensor, Tensor]]) -> float:
    """The largest |a − b| over pairs of tensors."""
    return max((a - b).abs().max().item() for a, b in couples)


def differences(ours: Any, peft_model: Any, batch: Mapping[str, Tensor]) -> dict[str, float]:
    """The largest differences after a forward and a backward pass of both: logits, gradients and weights.

    The gradients of A and B stay in the models. Where neither has an A and B any more, the logits and every weight.
    """
    one, two = ours(**batch), peft_model(**batch)
    largest = {"logits": gap([(one.logits, two.logits)])}
    if not one.loss.requires_grad:
        return largest | {"weights": gap(zip(ours.parameters(), peft_model.parameters(), strict=True))}
    for model, loss in ((ours, one.loss), (peft_model, two.loss)):
        model.zero_grad()
        loss.backward()
    pairs = twins(ours, peft_model)
    return largest | {"gradients": gap((a.grad, b.grad) for a, b in pairs), "weights": gap(pairs)}  # type: ignore[misc]


def rounding_step(value: Tensor) -> float:
    """The distance from a number to the next larger one that its format can hold."""
    return (torch.nextafter(value, torch.tensor(torch.inf)) - value).item()


@torch.no_grad()
def logits(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """The model's logits on the batch, padding left out: tokens × vocabulary."""
    rows: Tensor = model(**batch).logits
    return rows[batch["attention_mask"].bool()]


def heart(function: Callable[..., Any], first: str, last: str) -> str:
    """The source of `function` from the line that holds `first` to the next one that holds `last`."""
    lines = inspect.getsource(function).splitlines()
    start = next(i for i, line in enumerate(lines) if first in line)
    end = next(i for i, line in enumerate(lines) if i >= start and last in line)
    return textwrap.dedent("\n".join(lines[start : end + 1]))


def length(thing: Any) -> int:
    """How many lines of source it has where you sit."""
    return len(inspect.getsource(thing).splitlines())


@torch.no_grad()
def merge_error(model: nn.Module, size: float = 1.0, every: int = 1) -> tuple[float, float]:
    """Merge size·ΔW into bf16 weights, in thought, in every `every`-th layer.

    Returns (energy of the error / energy of the update, share of weights that did not move at all).
    """
    error = energy = unmoved = count = 0.0
    for _, layer in list(lora.lora_layers(model))[::every]:
        W, delta = layer.base_layer.weight.bfloat16().float(), size * layer.delta()
        added = (W + delta).bfloat16().float() - W
        error += (added - delta).square().sum().item()
        energy += delta.square().sum().item()
        unmoved += (added == 0).sum().item()
        count += W.numel()
    return error / energy, unmoved / count


@torch.no_grad()
def to_bf16(model: nn.Module) -> None:
    """Round every weight to what bf16 can hold, in place; A and B stay as they are."""
    for name, p in model.named_parameters():
        if "lora_" not in name:
            p.copy_(p.bfloat16())


ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
TARGETS: dict[str, str | list[str]] = {
    "q, v": ["q_proj", "v_proj"],
    "attention": ATTENTION,
    "all-linear": "all-linear",
}


def numbers_at_rank_1() -> dict[tuple[str, str], int]:
    """{(model, targets): how many numbers A and B hold at r = 1} for every shape and every choice of targets."""
    counts = {}
    for name in models.SHAPES:
        model = models.shape(name)
        for where, modules in TARGETS.items():
            lora.attach(model, 1, lora_alpha=1, target_modules=modules)
            counts[name, where] = lora.trainable_parameters(model)
            lora.detach(model)
    return counts


def base_numbers() -> dict[str, int]:
    """How many numbers each of the 7B shapes holds itself."""
    return {name: sum(p.numel() for p in models.shape(name).parameters()) for name in models.SHAPES}
