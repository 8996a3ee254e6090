"""A weight in NF4 and back, as lesson 06 writes it (for now by the course's own pieces)."""

from __future__ import annotations

from torch import Tensor

from ... import quant

ByHand = quant.Quantized


def nf4(W: Tensor) -> ByHand:
    """W in 4 bits: NF4 in blocks of 64, the scales themselves in 8 bits."""
    return quant.quantize(W, double=True)


def back(q: ByHand) -> Tensor:
    """The weight that `q` stands for, unpacked."""
    return quant.dequantize(q)
