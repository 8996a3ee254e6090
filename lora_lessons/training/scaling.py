"""Loss scaling: what keeps small gradients from vanishing in fp16, which a T4 needs because it has no bf16."""

from __future__ import annotations

import torch
from torch import nn


def loss_scaler(model: nn.Module, device: torch.device, state: dict[str, float]) -> torch.amp.GradScaler:
    """A scaler that multiplies the loss by a large number, and takes it out of the gradients before the step.

    The number adapts itself: a step whose gradients overflow is left out, and the next one scales less. Idle in bf16
    and fp32. `state` is what an interrupted run had come to; {} starts at 4096. Raises ValueError where a parameter that
    learns is itself in fp16: a step is often smaller than the gap between two of its numbers.
    """
    if learns := [name for name, p in model.named_parameters() if p.requires_grad and p.dtype == torch.float16]:
        raise ValueError(
            f"{learns[0]} would learn in fp16, where small steps are lost: turn the base to fp16 first and attach the adapters "
            "then, which keeps them in fp32, or take bf16."
        )
    half = any(p.dtype == torch.float16 for p in model.parameters())
    scaler = torch.amp.GradScaler(device.type, init_scale=2.0**12, enabled=half)
    if half and state:
        scaler.load_state_dict(state)
    return scaler
