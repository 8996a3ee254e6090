"""The training loop by hand: the loss of the answers, ten lines. And whose layer and loop train in lesson 03.

What stands first is what the lesson's exercises ask for, as the course writes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ... import lora
from ...course import own_code
from ...tasks import IGNORED

LARGEST = 4  # how many times 1/√k the numbers of A may be at the start, in the root of their mean square
RISEN = 1.0  # nats above the first step's loss; batches differ by about half of it


def answer_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the supervised tokens, in nats.

    `logits` is batch × tokens × vocabulary; those at token i predict token i + 1. `labels` is batch × tokens.
    """
    return cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)


def train_by_hand(model: Any, batches: Iterable[Mapping[str, Tensor]], learning_rate: float) -> list[float]:
    """Train lora_A and lora_B alone, one step of AdamW for each batch; returns the loss of each step."""
    model.train()
    model.requires_grad_(False)
    ours = [p.requires_grad_(True) for name, p in model.named_parameters() if "lora_" in name]
    optimizer = torch.optim.AdamW(ours, lr=learning_rate, weight_decay=0)
    losses = []
    for batch in batches:
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        loss = answer_loss(logits, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# ---- whose layer trains ----


def my_layer() -> type[nn.Module]:
    """The class that trains: the learner's MyLoRA of lesson 02 where it is sound, the course's LoRALinear otherwise.

    Prints which, and in one sentence what keeps the learner's class from training.
    """
    made = own_code.read("my_lora", "MyLoRA")
    if isinstance(made, str) or (wrong := ailment(made)):
        why = made if isinstance(made, str) else wrong
        print(f"{why} The course's layer trains here; to train your own, solve exercise 02.1.")
        return lora.LoRALinear
    print("Your own MyLoRA trains.")
    return made


@torch.no_grad()
def ailment(mine: type[nn.Module]) -> str | None:
    """What is wrong with a learner's layer, in a sentence; None when it computes and trains what the course's does."""
    r, d, k, alpha = 8, 12, 576, 13.0  # α/r is like nothing else, and k is our base's
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        linear, x = nn.Linear(k, d, bias=False), torch.randn(4, k, requires_grad=True)
        try:
            layer = mine(linear, r, alpha)
        except Exception as error:
            return f"Your MyLoRA(linear, r, lora_alpha) stopped with {type(error).__name__}: {error}."
        A, B = (own_code.learned(layer, name) for name in ("lora_A", "lora_B"))
        if not (isinstance(A, nn.Parameter) and isinstance(B, nn.Parameter)):
            return "Your MyLoRA has no parameters named lora_A and lora_B, so they cannot be saved."
        if tuple(A.shape) not in ((r, k), (k, r)) or tuple(B.shape) not in ((d, r), (r, d)):
            return f"In your MyLoRA lora_A is {tuple(A.shape)} and lora_B {tuple(B.shape)}; they must be r×k and d×r."
        more = [name for name, p in layer.named_parameters() if p.requires_grad and p is not A and p is not B]
        if any(p is linear.weight and p.requires_grad for p in layer.parameters()):
            return "Your MyLoRA leaves W trainable: freeze it with requires_grad_(False)."
        if more:
            return f"Your MyLoRA trains {more[0]} besides lora_A and lora_B."
        if B.any() or not A.any():
            return "In your MyLoRA B must start at zero and A must not, or the layer starts wrong or never learns."
        if (times := float(A.square().mean().sqrt()) * math.sqrt(k)) > LARGEST:
            return f"In your MyLoRA A starts {times:.0f} times larger than 1/√k, so each step would be as many times too large."
        B.normal_()
        try:
            h = layer(x)
        except Exception as error:
            return f"The forward pass of your MyLoRA stopped with {type(error).__name__}: {error}."
    right = x @ linear.weight.T + x @ _laid(A, (r, k)).T @ _laid(B, (d, r)).T * alpha / r
    if not isinstance(h, torch.Tensor) or h.shape != right.shape or not torch.allclose(h, right, atol=1e-4):
        return "Your MyLoRA does not compute W·x + (α/r)·B·(A·x)."
    with torch.enable_grad():
        total = layer(x).sum()
        passed = torch.autograd.grad(total, x, allow_unused=True)[0] if total.requires_grad else None
    through = torch.ones(4, d) @ (linear.weight + _laid(B, (d, r)) @ _laid(A, (r, k)) * alpha / r)
    if passed is None or not torch.allclose(passed, through, rtol=1e-3, atol=1e-3):
        return "In your MyLoRA no gradient passes through W to the layers before: leave out no_grad and .detach()."
    return None


def _laid(matrix: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """`matrix` as the course keeps it; a learner may keep it turned round."""
    return matrix if tuple(matrix.shape) == tuple(shape) else matrix.T


def look_at(losses: Sequence[float]) -> None:
    """Say so in a sentence where the loss of a training has risen; nothing where it has not."""
    if losses[-1] > losses[0] + RISEN:
        print(
            f"The loss has risen, from {losses[0]:.2f} to {losses[-1]:.2f}: the steps are too large. Either A starts too large "
            "(1/√k is right for its numbers), or the learning rate is too high."
        )


def attach(model: nn.Module, layer: type[nn.Module], r: int, lora_alpha: float, seed: int = 0) -> None:
    """Freeze `model` and put a `layer` around every Linear but the output head, in place; old adapters come off."""
    as_the_courses(model)
    lora.detach(model)
    if layer is lora.LoRALinear:
        lora.attach(model, r, lora_alpha, seed=seed)
        return

    mark = own_code.mark("my_lora")

    def make(_: str, linear: nn.Linear) -> nn.Module:
        made: Any = layer(linear, r, lora_alpha).to(linear.weight.device)
        made._stands_for = (linear, r, lora_alpha)
        made.made_by = f"{lora_alpha} {mark}"
        return made

    lora.replace_layers(model, lora.resolve_targets(model, "all-linear"), make, seed)


@torch.no_grad()
def as_the_courses(model: nn.Module) -> None:
    """Replace every layer of the learner's by the course's with the same W, A and B, in place: the rest knows those."""
    theirs = [(name, module) for name, module in model.named_modules() if hasattr(module, "_stands_for")]
    for name, module in theirs:
        linear, r, lora_alpha = module._stands_for
        same = lora.LoRALinear(linear, r, lora_alpha)
        same.lora_A.copy_(_laid(own_code.learned(module, "lora_A"), same.lora_A.shape))
        same.lora_B.copy_(_laid(own_code.learned(module, "lora_B"), same.lora_B.shape))
        model.set_submodule(name, same)
