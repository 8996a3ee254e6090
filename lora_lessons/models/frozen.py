"""Frozen weights, and who multiplies by them: x·Wᵀ on the way there and g·W on the way back,
of W whole or of its slices."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Frozen(Protocol):
    """A weight W (d×k) that learns nothing, with its bias. How it is held, only its own two products know."""

    def product(self, x: Tensor) -> Tensor:
        """x·Wᵀ + bias (… × d) of x (… × k), in x's number format."""

    def add_back(self, total: Tensor, grad: Tensor) -> None:
        """total += grad·W in place: `total` is tokens × k, `grad` tokens × d."""


class FrozenProduct(torch.autograd.Function):
    """x·Wᵀ + bias, of which nothing is kept: W is multiplied once more on the way back, and gets no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, frozen: Frozen) -> Tensor:
        ctx.frozen, ctx.shape = frozen, x.shape
        return frozen.product(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        total = grads[0].new_zeros(ctx.shape)
        ctx.frozen.add_back(total.view(-1, ctx.shape[-1]), grads[0].flatten(0, -2))
        return total, None


# Outputs of a 16-bit head computed at a time.
ROWS = 8192


class WidenedLinear(nn.Linear):
    """A frozen Linear held in 16 bits and computed in the input's fp32, ROWS outputs at a time.

    For processors that are slow in bf16: the head of Qwen2.5-7B is 1.1 GB in bf16 and would be 2.2 GB in fp32.
    """

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = FrozenProduct.apply(x, self)
        return h

    def product(self, x: Tensor) -> Tensor:
        out, start = x.new_empty(*x.shape[:-1], len(self.weight)), 0
        for part in self.weight.split(ROWS):
            out[..., start : start + len(part)] = x @ part.to(x.dtype).T
            start += len(part)
        return out if self.bias is None else out.add_(self.bias)

    def add_back(self, total: Tensor, grad: Tensor) -> None:
        for part, g in zip(self.weight.split(ROWS), grad.split(ROWS, dim=1), strict=True):
            total.addmm_(g, part.to(grad.dtype))
