"""A layer whose frozen weight stays in 4 bits: it is dequantized whenever it is used (QLoRA, section 3, equation 5).

x ── · Wᵀ ── y        W = dequantize(codes, scales), in forward and once more in backward; neither keeps it
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .checks import linear_named
from .nf4 import DoubleQuantized, Quantized, dequantize, quantize


class QuantizedLinear(nn.Linear):
    """A frozen Linear that keeps its weight in 4 bits and dequantizes it whenever it is used (section 3, equation 5).

    `weight` holds the packed bytes (uint8), so LoRA can be attached to it as to any Linear; the scales are buffers.
    """

    def __init__(self, base: nn.Linear, codebook: str = "nf4", blocksize: int = 64, double: bool = True) -> None:
        super().__init__(base.in_features, base.out_features, bias=False, device="meta")
        q = quantize(base.weight, codebook, blocksize, double)
        self.weight = nn.Parameter(q.packed, requires_grad=False)
        self.bias = base.requires_grad_(False).bias
        for name, tensor in q.scales.items():
            self.register_buffer(name, tensor)
        self._like = q._replace(packed=torch.empty(0), absmax=torch.empty(0))

    @property
    def quantized(self) -> Quantized:
        """The weight in 4 bits: packed codes and scales as they are now, wherever they were moved or loaded from."""
        absmax = self.get_buffer("absmax") if "absmax" in self._buffers else DoubleQuantized(*self.buffers())
        return self._like._replace(packed=self.weight.detach(), absmax=absmax)

    def forward(self, x: Tensor) -> Tensor:
        return _FourBitProduct.apply(x, self.quantized, self.bias)


class _FourBitProduct(torch.autograd.Function):
    """x·Wᵀ + bias, W in 4 bits: it exists in 16 or 32 bits only while it is multiplied, in forward and in backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, q: Quantized, bias: Tensor | None) -> Tensor:
        # Not the dequantized W: keeping that for backward would undo the saving.
        ctx.q = q
        return linear(x, dequantize(q).to(x.dtype), None if bias is None else bias.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad @ dequantize(ctx.q).to(grad.dtype), None, None


def quantize_linears(
    model: nn.Module, names: Iterable[str], codebook: str = "nf4", blocksize: int = 64, double: bool = True
) -> None:
    """Put a QuantizedLinear in the place of each named Linear, in place, one at a time.

    Raises ValueError, before the first is replaced, for a name that is no Linear; and for an impossible setting.
    """
    names = list(names)
    for name in names:
        linear_named(model, name)
    for name in names:
        model.set_submodule(name, QuantizedLinear(linear_named(model, name), codebook, blocksize, double))
