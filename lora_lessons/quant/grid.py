"""The grid that weights are rounded to, and the plainest way to round: each weight to its nearest mark.

W (d×k) ── groups of `group` neighbours in a row ── a scale and a zero point each ── weight = scale · (code − zero)

Round-to-nearest, GPTQ and AWQ share this grid; they differ in which mark they take.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .checks import check_numbers

# The positive numbers of fp16, the 16-bit format that scales are kept in, begin and end here.
SMALLEST, LARGEST = 2.0**-24, 65504.0


class Rounded(NamedTuple):
    """A weight of d×k in `bits` bits, and all that is needed to have it back."""

    codes: Tensor  # uint8, d×k: 0 … 2^bits − 1
    scales: Tensor  # fp16, d×(k/group)
    zeros: Tensor  # uint8, d×(k/group): the code that stands for 0; with a symmetric grid 2^(bits−1) everywhere
    bits: int
    symmetric: bool
    channels: Tensor | None = None  # fp16, k: AWQ's s, by which the columns were multiplied before rounding

    def dequantize(self) -> Tensor:
        """The weight that the codes stand for, d×k in fp32."""
        group = self.codes.shape[1] // self.scales.shape[1]
        scales, zeros = (t.float().repeat_interleave(group, 1) for t in (self.scales, self.zeros))
        W = scales * (self.codes - zeros)
        return W if self.channels is None else W / self.channels.float()

    @property
    def bits_per_weight(self) -> float:
        """Packed, with its share of scale, zero point and s: symmetric 4 + 16/64 = 4.25, asymmetric 4 + (16 + 4)/64."""
        d, k = self.codes.shape
        shared = self.scales.numel() * (16 + (0 if self.symmetric else self.bits))
        return self.bits + (shared + (0 if self.channels is None else 16 * k)) / (d * k)


def round_to_nearest(W: Tensor, bits: int = 4, group: int = 64, symmetric: bool = True) -> Rounded:
    """Each weight of W (d×k) to the nearest mark of its group's grid. Raises ValueError for what cannot be rounded."""
    check_weight(W, bits, group)
    groups = W.detach().float().unflatten(1, (-1, group))
    scales, zeros = grid_of(groups, bits, symmetric)
    codes = nearest_mark(groups, scales[..., None], zeros[..., None], bits).byte().flatten(1)
    return Rounded(codes, scales.half(), zeros.byte(), bits, symmetric)


def grid_of(groups: Tensor, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Scale and zero point for the last dimension's weights; the scale is a number that fp16 has."""
    top = 2**bits - 1
    # 0 is on every grid.
    low, high = groups.amin(-1).clamp(max=0), groups.amax(-1).clamp(min=0)
    if symmetric:
        high = torch.maximum(high, -low)
        low = -high
    scales = ((high - low) / top).clamp(min=SMALLEST)
    if scales.max() > LARGEST:
        raise ValueError(f"a weight of {groups.abs().max():.3g} is too large for a scale in 16 bits: find its cause.")
    scales = scales.half().to(groups.dtype)
    zeros = torch.full_like(scales, 2 ** (bits - 1)) if symmetric else (-low / scales).round().clamp(0, top)
    return scales, zeros


def nearest_mark(W: Tensor, scales: Tensor, zeros: Tensor, bits: int) -> Tensor:
    """The code of the mark nearest to each weight, a whole number of W's dtype."""
    return (W / scales).round_().add_(zeros).clamp_(0, 2**bits - 1)


def check_weight(W: Tensor, bits: int, group: int) -> None:
    """Raise ValueError unless W (d×k) can be rounded to `bits` bits in groups of `group`."""
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 8:
        raise ValueError(f"bits = {bits!r}: choose a whole number from 2 to 8.")
    if W.ndim != 2 or not W.is_floating_point() or not W.numel():
        raise ValueError(f"a weight to round is a d×k matrix of floats, got {W.dtype} of shape {tuple(W.shape)}.")
    if isinstance(group, bool) or not isinstance(group, int) or group < 1 or W.shape[1] % group:
        fits = [g for g in (256, 128, 64, 32, 16, 8) if W.shape[1] % g == 0]
        raise ValueError(
            f"group = {group!r} does not divide {W.shape[1]} columns: choose one of {fits or [W.shape[1]]}."
        )
    check_numbers(W, "the weight")
    if (largest := W.abs().max().float()) > LARGEST * 2**bits:
        raise ValueError(f"a weight of {largest:.3g} is too large for a scale in 16 bits: find its cause.")
