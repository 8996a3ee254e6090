"""What the fused kernels of Liger and Unsloth keep of a block: of a norm what it reads, of a gated MLP its two halves,
and no more.

Read in linkedin/Liger-Kernel (ops/rms_norm.py, ops/swiglu.py) and unslothai/unsloth (kernels/rms_layernorm.py,
fast_lora.py), November 2026: each writes its gradient into a tensor that is there already. Their rotation,
which saves less, is not counted.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


def use(model: nn.Module) -> None:
    """From now on the norms and gated MLPs of `model` keep what those kernels would; on "meta",
    so without their numbers."""
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = _Norm.apply
        elif all(hasattr(module, part) for part in ("gate_proj", "up_proj", "down_proj", "act_fn")):
            module.forward = partial(_gated, module)


def _gated(mlp: Any, x: Tensor) -> Tensor:
    out: Tensor = mlp.down_proj(_Gate.apply(mlp.gate_proj(x), mlp.up_proj(x)))
    return out


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x, x.new_empty(x.shape[:-1], dtype=torch.float32))
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return torch.empty_like(gate)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        return tuple(half.detach() for half in ctx.saved_tensors)
