"""What trains in published 7B shapes, counted for several choices of layers and ranks;
and which matrices have a gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ... import lora, models

RANKS = (8, 16, 64)
TARGETS: dict[str, str | list[str]] = {
    "q, v": ["q_proj", "v_proj"],
    "attention": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "all-linear": "all-linear",
}
Setting = tuple[str, str, int]  # model, targets, r


def with_gradient(model: nn.Module, batch: Mapping[str, Any]) -> dict[str, int]:
    """How many matrices get a gradient from one pass forward and backward, by kind: lora_A, lora_B, base."""
    model.zero_grad()
    model(**batch).loss.backward()
    counts = {"lora_A": 0, "lora_B": 0, "base": 0}
    for name, p in model.named_parameters():
        if p.grad is not None and p.grad.any():
            counts[next((kind for kind in ("lora_A", "lora_B") if kind in name), "base")] += 1
    return counts


def size(model: nn.Module) -> int:
    """All the numbers that a model learned."""
    return sum(p.numel() for p in model.parameters())


def every_setting() -> tuple[dict[Setting, int], dict[str, int]]:
    """What trains for three models × three choices of targets × three ranks; and each model's size."""
    counts, sizes = {}, {}
    for name in models.SHAPES:
        model = models.shape(name)
        sizes[name] = size(model)
        for targets, modules in TARGETS.items():
            for r in RANKS:
                lora.attach(model, r, lora_alpha=16, target_modules=modules)
                counts[name, targets, r] = lora.trainable_parameters(model)
                lora.detach(model)
    return counts, sizes


def cuts(counts: Mapping[Setting, int], sizes: Mapping[str, int]) -> list[float]:
    """For each setting, the share of the model that does not train, in percent."""
    return [100 * (1 - n / sizes[name]) for (name, _, _), n in counts.items()]
