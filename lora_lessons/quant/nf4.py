"""NF4, four bits per weight: a scale for each block, and for each weight the number of the nearest of 16 levels.

And the layer whose frozen weight stays in 4 bits, dequantized whenever it is used (QLoRA, section 3).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear

from .. import lowrank

CODEBOOKS = ("nf4", "fp4", "int4")
# Numbers taken at a time, for speed alone: they stay in the processor's cache, and temporaries stay small.
CHUNK = 2**18
# Divides a block of zeros.
TINY = 1e-38
# Absmax values that share one scale of their own (section 3, double quantization).
DOUBLE_BLOCK = 256


class Quantized(NamedTuple):
    """A weight in 4 bits, and all that is needed to have it back."""

    packed: Tensor  # uint8, two codes a byte, the first in the upper half
    absmax: Tensor | DoubleQuantized  # fp32, the largest absolute value of each block; or those in 8 bits
    codebook: str
    blocksize: int
    shape: tuple[int, ...]
    dtype: torch.dtype  # of the weight that came in, and that dequantize gives back

    @property
    def scales(self) -> dict[str, Tensor]:
        """The tensors that hold the scales, by name."""
        if isinstance(self.absmax, DoubleQuantized):
            return {f"absmax_{name}": tensor for name, tensor in self.absmax._asdict().items()}
        return {"absmax": self.absmax}

    @property
    def bits(self) -> float:
        """Bits that a parameter takes, the scales included: counted from the tensors, not computed."""
        return 8 * (self.packed.nbytes + sum(t.nbytes for t in self.scales.values())) / prod(self.shape)


class DoubleQuantized(NamedTuple):
    """Scales in 8 bits: codes around their mean, in blocks of DOUBLE_BLOCK with a scale of their own."""

    codes: Tensor  # uint8, one for each block of the weight
    absmax: Tensor  # fp32, one for each DOUBLE_BLOCK codes
    offset: Tensor  # fp32, the mean of the scales (they are all positive)


# ---- levels: what the codes stand for ----


@cache
def levels(codebook: str = "nf4") -> Tensor:
    """The values that the codes 0, 1, 2 … stand for, between −1 and 1, in fp32.

    Raises ValueError for a name that is not one of CODEBOOKS.
    """
    if codebook == "nf4":
        return _normal_levels()
    if codebook == "fp4":
        # A sign, two bits of exponent, one of mantissa, as bitsandbytes lays them out: 12 is the largest.
        half = torch.tensor([0.0, 0.0625, 8.0, 12.0, 4.0, 6.0, 2.0, 3.0], dtype=torch.float64) / 12
        return torch.cat([half, -half]).float()
    if codebook == "int4":
        # Evenly spaced, with a zero: one of the 16 codes stays unused.
        return torch.arange(-7, 8) / 7
    raise ValueError(f"no codebook is named {codebook!r}: choose from {', '.join(CODEBOOKS)}.")


def _normal_levels() -> Tensor:
    """NF4 (section 3): quantiles of a normal distribution, 8 on the right, 7 on the left, an exact zero between."""
    # ½·((1 − 1/32) + (1 − 1/30)), so that the outermost quantile is finite; in the digits of the published table.
    last = 0.9677083
    right = torch.special.ndtri(torch.linspace(last, 0.5, 9)[:-1].double())
    left = -torch.special.ndtri(torch.linspace(last, 0.5, 8)[:-1].double())
    both = torch.cat([left, torch.zeros(1), right.flip(0)]).float()
    return both / both.max()


@cache
def dynamic_levels() -> Tensor:
    """The 256 levels that hold the scales: seven decades, each cut evenly, finer towards 1 (Dettmers 2015)."""
    values = [0.0, 1.0]
    for decade in range(7):
        cuts = torch.linspace(0.1, 1, 2**decade + 1)
        means = 10.0 ** (decade - 6) * (cuts[:-1] + cuts[1:]) / 2
        values += means.tolist() + (-means).tolist()
    return torch.tensor(sorted(values))


# ---- there and back ----


def quantize(W: Tensor, codebook: str = "nf4", blocksize: int = 64, double: bool = False) -> Quantized:
    """W in 4 bits: blocks of `blocksize` numbers in reading order, each with its absmax.

    The packed bytes are those of bitsandbytes. Raises ValueError for an unknown codebook, an impossible block size, or
    a W that is on the meta device, holds NaN or infinity, or goes beyond fp32 or, with `double`, beyond its own dtype.
    """
    if isinstance(blocksize, bool) or not isinstance(blocksize, int) or blocksize < 2 or blocksize % 2:
        raise ValueError(f"blocksize = {blocksize!r}: give an even whole number of at least 2, such as 64.")
    if not isinstance(W, Tensor) or not W.is_floating_point() or not W.numel():
        what = f"{W.dtype} of shape {tuple(W.shape)}" if isinstance(W, Tensor) else type(W).__name__
        raise ValueError(f"quantize needs a tensor of floats with at least one number; got {what}.")
    check_loaded(W, "the weight")
    table, flat = levels(codebook).to(W.device), W.detach().reshape(-1)
    packed = torch.empty((len(flat) + 1) // 2, dtype=torch.uint8, device=W.device)
    absmax = torch.empty(-(-len(flat) // blocksize), device=W.device)
    step = max(1, CHUNK // blocksize) * blocksize
    for start in range(0, len(flat), step):
        scaled, maxima = _scaled(flat[start : start + step], blocksize)
        if not torch.isfinite(maxima).all():
            # What is wrong costs a pass over the weight: it is asked only here.
            check_numbers(flat[start : start + step], "the weight")
        absmax[start // blocksize :][: len(maxima)] = maxima
        if len(scaled) % 2:
            # An odd one out is paired with a zero.
            scaled = torch.cat([scaled, scaled.new_zeros(1)])
        packed[start // 2 :][: len(scaled) // 2] = pack(nearest(scaled, table))
    scales: Tensor | DoubleQuantized = absmax
    if double:
        scales = double_quantize(absmax)
        if not torch.isfinite(double_dequantize(scales).to(W.dtype)).all():
            raise ValueError(
                f"a weight of {absmax.max():.3g} in {W.dtype} leaves no room for scales in 8 bits: use double=False."
            )
    return Quantized(packed, scales, codebook, blocksize, tuple(W.shape), W.dtype)


def _scaled(flat: Tensor, blocksize: int) -> tuple[Tensor, Tensor]:
    """Each number over its block's absmax, −1 … 1, and the absmax of each block (fp32); the last block may be short."""
    flat = flat.float()
    whole = len(flat) - len(flat) % blocksize
    blocks, rest = flat[:whole].view(-1, blocksize), flat[whole:]
    last = rest.abs().amax()[None].clamp(min=TINY) if len(rest) else rest
    absmax = torch.cat([blocks.abs().amax(1), last])
    # A block of zeros stays zero.
    over = 1 / absmax[: len(blocks), None].clamp(min=TINY)
    scaled = torch.cat([(blocks * over).view(-1), rest / last])
    return scaled.clamp_(-1, 1), absmax


def nearest(x: Tensor, table: Tensor) -> Tensor:
    """The code of the level of `table`, of at most 256, that is nearest to each number of x, as uint8.

    A number's place among the sorted levels is how many borders lie below it. Counting sixteen takes less than half of
    `torch.bucketize`'s time on a processor; for more borders, its binary search is faster.
    """
    sorted_levels, order = table.sort()
    between = (sorted_levels[:-1] + sorted_levels[1:]) / 2
    places = [
        torch.bucketize(part, between) if len(table) > 16 else sum((part > border).byte() for border in between)
        for part in x.reshape(-1).split(CHUNK)
    ]
    return order.to(torch.uint8)[torch.cat(places).int()].view(x.shape)


def pack(codes: Tensor) -> Tensor:
    """An even number of 4-bit codes (uint8), two to a byte, the first in the upper half."""
    return (codes[::2] << 4) | codes[1::2]


def unpack(packed: Tensor) -> Tensor:
    """The 4-bit codes of `packed`, two from each byte, as uint8."""
    return torch.stack([packed >> 4, packed & 0xF], dim=1).view(-1)


def dequantize(q: Quantized) -> Tensor:
    """The weight that `q` stands for: each code's level times its block's absmax, in the dtype that came in."""
    absmax = double_dequantize(q.absmax) if isinstance(q.absmax, DoubleQuantized) else q.absmax
    pairs, W = _pairs(q.codebook).to(q.packed.device), q.packed.new_empty(2 * len(q.packed), dtype=q.dtype)
    step = max(1, CHUNK // q.blocksize) * q.blocksize
    for start in range(0, len(W), step):
        codes = q.packed[start // 2 : (start + step) // 2]
        W[start : start + step] = _times_absmax(
            embedding(codes.int(), pairs).view(-1), absmax[start // q.blocksize :], q.blocksize
        )
    return W[: prod(q.shape)].view(q.shape)


@cache
def _pairs(codebook: str) -> Tensor:
    """The two levels that each of the 256 bytes names (256×2, fp32): one look-up a byte.
    Codes that no level has are 0."""
    table = torch.zeros(16)
    table[: len(levels(codebook))] = levels(codebook)
    return table[unpack(torch.arange(256, dtype=torch.uint8)).int()].view(256, 2)


def _times_absmax(values: Tensor, absmax: Tensor, blocksize: int) -> Tensor:
    """Each number times its block's scale; the last block may be short."""
    whole = len(values) - len(values) % blocksize
    blocks, rest = values[:whole].view(-1, blocksize), values[whole:]
    scaled = (blocks * absmax[: len(blocks), None]).view(-1)
    return torch.cat([scaled, rest * absmax[len(blocks)]]) if len(rest) else scaled


# ---- double quantization: the scales in 8 bits ----


def double_quantize(absmax: Tensor) -> DoubleQuantized:
    """Scales (fp32, one a block) in 8 bits: 32 bits a block become 8 and a little (section 3).

    Raises ValueError for scales with NaN or infinity.
    """
    check_numbers(absmax, "the list of scales")
    offset = absmax.mean()
    if not torch.isfinite(offset):
        # Four scales of 1e38 have a sum beyond fp32, and a mean within it.
        offset = absmax.double().mean().float()
    scaled, scales = _scaled(absmax - offset, DOUBLE_BLOCK)
    return DoubleQuantized(eight_bit(scaled), scales, offset)


def eight_bit(x: Tensor) -> Tensor:
    """The code of the one of `dynamic_levels` that is nearest to each number of x (−1 … 1), as uint8."""
    if x.device.type == "cpu":
        # There bitsandbytes looks the code up in a table of 65,536 places.
        x = ((x + 1) * 0.5 * 65535 + 0.5).floor() / 65535 * 2 - 1
    return nearest(x, dynamic_levels().to(x.device))


def double_dequantize(d: DoubleQuantized) -> Tensor:
    """The scales that `d` stands for, in fp32."""
    return _times_absmax(dynamic_levels().to(d.codes.device)[d.codes.int()], d.absmax, DOUBLE_BLOCK) + d.offset


# ---- what it costs ----


def bits_per_parameter(blocksize: int = 64, double: bool = False) -> float:
    """4 bits for the code, and a block's share of its scale: 4 + 32/64 = 4.5;
    doubly quantized 4 + 8/64 + 32/(64·256)."""
    return 4 + (8 / blocksize + 32 / (blocksize * DOUBLE_BLOCK) if double else 32 / blocksize)


def relative_error(W: Tensor, codebook: str = "nf4", blocksize: int = 64, double: bool = False) -> float:
    """‖W − its 4-bit version‖ / ‖W‖ (Frobenius, no unit); 0 for a W of zeros, which come back as zeros."""
    back = dequantize(quantize(W, codebook, blocksize, double))
    return lowrank.relative_error(W, back)


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


LARGEST_FP32 = torch.finfo(torch.float32).max


def check_loaded(tensor: Tensor, what: str) -> None:
    """Raise ValueError, naming `what`, when the tensor is on the meta device."""
    if tensor.is_meta:
        raise ValueError(f"{what} is on the meta device, which keeps shapes but no numbers: load the weights first.")


def check_numbers(tensor: Tensor, what: str) -> None:
    """Raise ValueError, naming `what`, unless every number is there, finite, and within fp32's range."""
    check_loaded(tensor, what)
    if not torch.isfinite(tensor).all():
        raise ValueError(f"{what} holds NaN or infinity: find its cause first.")
    if tensor.dtype == torch.float64 and (largest := tensor.abs().max()) > LARGEST_FP32:
        raise ValueError(f"{what} goes up to {largest:.3g}, and fp32 ends at {LARGEST_FP32:.3g}: scale it down first.")


def linear_named(model: nn.Module, name: str) -> nn.Linear:
    """The Linear of that name in 16 or 32 bits; raises ValueError when the model has none."""
    try:
        module = model.get_submodule(name)
    except AttributeError as error:
        raise ValueError(f"the model has no layer named {name!r}: look through model.named_modules().") from error
    if not isinstance(module, nn.Linear) or not module.weight.is_floating_point():
        raise ValueError(f"{name} is a {type(module).__name__}: only a Linear in 16 or 32 bits can be rounded.")
    return module
