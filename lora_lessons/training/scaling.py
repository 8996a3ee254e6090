"""Loss scaling: what keeps small gradients from vanishing in fp16, which a T4 needs because it has no bf16."""

from __future__ import annotations

import torch
from torch import nn


def loss_scaler(model: nn.Module, device: torch.device, state: dict[str, float]) -> torch.amp.GradScaler:
    """A scaler that multiplies the loss by a large number, and takes it out of the gradients before the step.

    The number adapts itself: a step whose gradients overflow is left out, and the next one scales less. Idle in bf16
    and fp32. `state` is what an interrupted run had come to; {} starts at 4096.
    """
    half = any(p.dtype == torch.float16 for p in model.parameters())
    scaler = torch.amp.GradScaler(device.type, init_scale=2.0**12, enabled=half)
    if half and state:
        scaler.load_state_dict(state)
    return scaler
