"""Backward passes written out: each keeps what its gradient needs and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, silu

from ..models.frozen import Frozen


class Whole:
    """A frozen weight W (d×k), multiplied whole; asked for each time,
    so that one in 4 bits exists only for its product."""

    def __init__(self, weight: Callable[[], Tensor], bias: Tensor | None = None) -> None:
        self.weight, self.bias = weight, bias

    def product(self, x: Tensor) -> Tensor:
        return linear(x, self.weight(), None if self.bias is None else self.bias.to(x.dtype))

    def add_back(self, total: Tensor, grad: Tensor) -> None:
        total.addmm_(grad, self.weight())


class LoRAProducts(torch.autograd.Function):
    """hᵢ = x·Wᵢᵀ + sᵢ·(x·Aᵢᵀ)·Bᵢᵀ for all layers that read the same x (q, k and v; gate and up).

    Kept for the way back are x and x·Aᵀ (tokens × Σr). The A's lie stacked, so that x meets them once. W gets no
    gradient, and how it is held is its own affair (`Frozen`): whole,
    or in 4 bits of which a slice is unpacked at a time.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, frozen: list[Frozen], scales: list[float], *matrices: Tensor
    ) -> tuple[Tensor, ...]:
        count = len(frozen)
        A = torch.cat([a.to(x.dtype) for a in matrices[:count]])
        B = [(scale * b).to(x.dtype) for scale, b in zip(scales, matrices[count:], strict=True)]
        ctx.ranks = [len(a) for a in matrices[:count]]
        xA = x @ A.T
        ctx.save_for_backward(x, xA, A, *B)
        ctx.frozen, ctx.scales, ctx.learned_in = frozen, scales, matrices[0].dtype
        parts = zip(frozen, xA.split(ctx.ranks, dim=1), B, strict=True)
        return tuple(torch.addmm(W.product(x), part, b.T) for W, part, b in parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        x, xA, A, *B = ctx.saved_tensors
        gB = torch.cat([g @ b for g, b in zip(grads, B, strict=True)], dim=1)
        dA = (gB.T @ x).to(ctx.learned_in).split(ctx.ranks)
        parts = zip(grads, xA.split(ctx.ranks, dim=1), ctx.scales, strict=True)
        dB = [scale * (g.T @ part).to(ctx.learned_in) for g, part, scale in parts]
        dx = None
        if ctx.needs_input_grad[0]:
            dx = gB @ A
            for g, W in zip(grads, ctx.frozen, strict=True):
                W.add_back(dx, g)
        return dx, None, None, *dA, *dB


class RMSNorm(torch.autograd.Function):
    """x / √(mean x² + ε) · w over the last axis, in fp32 inside; x and one number per token are kept. w is frozen."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        wide = _wide(x)
        rate = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, rate, w)
        return (wide * rate * w).to(dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        x, rate, w = ctx.saved_tensors
        normed, grad = _wide(x) * rate, _wide(grad) * w
        shared = (grad * normed).mean(-1, keepdim=True)
        return ((grad - normed * shared) * rate).to(x.dtype), None, None, None


class SwiGLU(torch.autograd.Function):
    """silu(gate)·up, the middle of the MLP: gate and up are kept, silu(gate) is worked out again."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return silu(gate) * up

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        return torch.ops.aten.silu_backward(grad * up, gate), grad * silu(gate)


class Rotation(torch.autograd.Function):
    """Rotary embedding of heads (tokens × heads × D) by cos and sin (tokens × 1 × D/2):
    backward turns the other way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(grad, cos, -sin).to(grad.dtype), None, None


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def _wide(x: Tensor) -> Tensor:
    """At least 32 bits."""
    return x.float() if x.dtype.itemsize < 4 else x
