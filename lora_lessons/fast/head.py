"""The loss where there is one: logits exist only for supervised tokens, and only a chunk of them at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Supervised tokens whose logits exist at once: 128 × 49,152 of them in fp32 are 25 MB.
CHUNK = 128


class HeadLoss(torch.autograd.Function):
    """Mean cross-entropy of h·Eᵀ (answers × vocabulary) against labels (answers,), for a frozen head E.

    E learns nothing, so each chunk's gradient with respect to h is found at once, while its logits are there.
    """

    @staticmethod
    def forward(ctx: Any, h: Tensor, E: Tensor, labels: Tensor, chunk: int = CHUNK) -> Tensor:
        gradient, losses = torch.empty_like(h), h.new_empty(len(h), dtype=_wide(h))
        for part, wanted, out, loss in zip(*(x.split(chunk) for x in (h, labels, gradient, losses)), strict=True):
            loss.copy_(_losses(part, E, wanted, out))
        ctx.save_for_backward(gradient.div_(len(labels)))
        return losses.mean()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.saved_tensors[0] * grad.to(ctx.saved_tensors[0].dtype), None, None, None


def _losses(h: Tensor, E: Tensor, labels: Tensor, gradient: Tensor) -> Tensor:
    """The cross-entropy of each row of h·Eᵀ against its label; the gradient of their sum goes into `gradient`."""
    logits = h @ E.T
    p = logits.softmax(-1, dtype=_wide(h))
    # log Σ exp(logits) by way of the likeliest token, whose p cannot underflow
    likeliest, place = p.max(-1, keepdim=True)
    total = logits.gather(1, place) - likeliest.log()
    losses = total - logits.gather(1, labels[:, None])
    p[torch.arange(len(labels), device=h.device), labels] -= 1
    torch.matmul(p.to(h.dtype), E, out=gradient)
    return losses[:, 0]


def _wide(h: Tensor) -> torch.dtype:
    """At least 32 bits."""
    return torch.promote_types(h.dtype, torch.float32)
