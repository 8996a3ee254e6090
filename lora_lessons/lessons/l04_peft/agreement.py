"""Our model beside PEFT's: which numbers belong together, how far apart the two are, and what is recorded of it.

And what else lesson 04 looks at: pieces of installed source code, and how large adapters for real 7B shapes are,
counted on the meta device, where shapes cost no memory.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ... import lora, models
from ...adapter import ADAPTER_WEIGHTS
from ...course import record


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


@torch.no_grad()
def fill(ours: nn.Module, pairs: Iterable[tuple[Tensor, Tensor]], seed: int) -> None:
    """Draw every B of ours away from zero, and copy A and B into PEFT's."""
    torch.manual_seed(seed)
    for _, layer in lora.lora_layers(ours):
        layer.lora_B.normal_(std=0.02)
    for mine, twin in pairs:
        twin.copy_(mine)


def set_scale(peft_model: nn.Module, value: float) -> None:
    """Give every LoRA layer of PEFT's this scale."""
    from peft.tuners.lora import LoraLayer

    for module in peft_model.modules():
        if isinstance(module, LoraLayer):
            module.scaling["default"] = value


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


# ---- what is recorded ----

LIMIT = 1e-5  # both do the same operations in the same order: a few rounding steps at most
FORGOTTEN = "scale forgotten"  # the stage that must not agree
RANKS, BAND = (8, 16, 64), (50, 500)  # of the files that are counted; MB, the page's


def record_gaps(gaps: Mapping[str, Mapping[str, float]]) -> None:
    """The largest difference at each stage, and whether a forgotten scale shows."""
    for stage, gap in gaps.items():
        record(f"gap.{stage.lower().replace(' ', '_')}", max(gap.values()), volatile=True)
    right = [max(gap.values()) for stage, gap in gaps.items() if stage != FORGOTTEN]
    record("agree.stages", sum(largest <= LIMIT for largest in right), "stages within 1e-5")
    record("agree.sabotage_seen", gaps[FORGOTTEN]["logits"] > 1000 * LIMIT)


def record_file(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """How many tensors an adapter's file holds, its size, and what share of it is names and shapes."""
    size = (folder / ADAPTER_WEIGHTS).stat().st_size
    record("file.tensors", len(tensors), "tensors")
    record("file.mb", size / 1e6, "MB")
    record("file.names_share", 1 - sum(tensor.nbytes for tensor in tensors.values()) / size)


def record_sizes() -> dict[tuple[tuple[str, str], int], float]:
    """{((model, targets), r): MB in 16 bits} of adapters for three 7B shapes."""
    counts, whole = numbers_at_rank_1(), base_numbers()
    mb = {(key, r): 2 * r * n / 1e6 for key, n in counts.items() for r in RANKS}  # 2 bytes each
    in_16, in_32 = (sum(BAND[0] <= times * size <= BAND[1] for size in mb.values()) for times in (1, 2))
    shares = [size * 1e6 / (2 * whole[name]) for ((name, _), _), size in mb.items()]
    record("size.settings", len(mb), "settings")
    record("size.least", min(mb.values()), "MB in 16-bit")
    record("size.most", max(mb.values()), "MB in 16-bit")
    record("size.llama2_r16_qv", mb[("Llama-2-7B", "q, v"), 16], "MB in 16-bit")
    record("size.share_most", 100 * max(shares), "% of the base")
    record("size.in_band_16", in_16, "settings")
    record("size.in_band_32", in_32, "settings")
    return mb
