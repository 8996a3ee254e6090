"""The loss of a batch: through the model as transformers wrote it, or by the fast path where it knows the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..fast import FastPath, why_not
from ..tasks import Encoded, collate
from .settings import Settings


def losses(model: Any, settings: Settings) -> Callable[[Sequence[Encoded]], Tensor]:
    """How to get a batch's mean loss per supervised token, in nats. Says so on screen where it must go the plain way."""
    if not settings.fast:
        return plain(model, settings.autocast)
    if reason := why_not(model):
        print(f"This model trains the plain way: {reason}.")
        return plain(model, settings.autocast)
    return FastPath(model, torch.bfloat16 if settings.autocast else None).loss


def plain(model: Any, autocast: bool = False) -> Callable[[Sequence[Encoded]], Tensor]:
    """The loss as transformers computes it, on a batch padded to one rectangle."""
    device = next(p.device for p in model.parameters() if p.requires_grad)

    def loss(batch: Sequence[Encoded]) -> Tensor:
        tensors = {name: t.to(device) for name, t in collate(batch, pad_id=0).items()}
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            found: Tensor = model(**tensors).loss
        return found

    return loss
