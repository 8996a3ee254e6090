"""What the side trip to lesson 04 measures: how much of an update survives when it is added to 16-bit weights."""

from __future__ import annotations

import torch
from torch import nn

from ... import lora


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
