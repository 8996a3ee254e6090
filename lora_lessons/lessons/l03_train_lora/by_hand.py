"""The training loop by hand: the loss of the answers, ten lines. And whose layer and loop train in lesson 03.

What stands first is what the lesson's exercises ask for, as the course writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ... import lora
from ...course import own_code
from ...tasks import IGNORED

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


def _laid(matrix: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """`matrix` as the course keeps it; a learner may keep it turned round."""
    return matrix if tuple(matrix.shape) == tuple(shape) else matrix.T


def look_at(losses: Sequence[float]) -> None:
    """Say so in a sentence where the loss of a training has risen; nothing where it has not."""
    if losses[-1] > losses[0] + RISEN:
        print(
            f"The loss has risen, from {losses[0]:.2f} to {losses[-1]:.2f}: the steps are too large. Either A starts "
            "too large (1/√k is right for its numbers), or the learning rate is too high."
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
