"""NF4 by hand: the four steps that lesson 06 asks for, as the course writes them,
and NF4 put together from the learner's.

Lesson 07 may import `nf4` (a weight to 4 bits), `back` (and back) and `ByHand` (what is kept in between).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding, pad

from ... import quant
from ...course import learner, own_code

# The last quantile that NF4 takes, in bitsandbytes' digits: at 1 the bell never ends.
OUTERMOST = 0.9677083
# Divides a block of zeros, which must stay zeros.
TINY = 1e-38


# ---- given to the learner ----


def in_blocks(x: Tensor, size: int) -> Tensor:
    """The numbers of x in rows of `size`, in reading order; the last row is filled up with zeros."""
    return pad(x.flatten(), (0, -x.numel() % size)).view(-1, size)


def quantiles(first: float, last: float, n: int) -> Tensor:
    """`n` quantiles of the bell curve, at evenly spaced shares from `first` to `last` of it; in fp32."""
    shares = torch.linspace(first, last, n)
    return torch.special.ndtri(shares.double()).float()


# ---- the four steps ----


def nf4_levels(outermost: float) -> Tensor:
    """NF4's 16 marks: 7 quantiles left of 0, an exact 0, 8 to the right, all divided by the largest."""
    right = quantiles(0.5, outermost, 9)
    left = quantiles(0.5, outermost, 8)[1:]
    levels = torch.cat([-left.flip(0), right])
    return levels / levels.max()


def to_codes(blocks: Tensor, levels: Tensor) -> Tensor:
    """The code of each weight, 0 … 15; every row of `blocks` has an absmax of its own."""
    absmax = blocks.abs().amax(1, keepdim=True)
    borders = (levels[1:] + levels[:-1]) / 2
    return torch.bucketize(blocks / absmax.clamp(min=TINY), borders)


def pack(codes: Tensor) -> Tensor:
    """Two codes a byte (uint8), the first in the upper half."""
    return codes[::2] * 16 + codes[1::2]


def double_quantize(absmax: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scales in 8 bits: a row of codes for every 256, each row's absmax, and the mean of all."""
    mean = absmax.mean()
    blocks = in_blocks(absmax - mean, 256)
    scale = blocks.abs().amax(1, keepdim=True)
    return quant.eight_bit(blocks / scale.clamp(min=TINY)), scale, mean


# ---- put together ----


class Pieces(NamedTuple):
    """What NF4 is made of, each the learner's or the course's."""

    nf4_levels: Callable[[float], Tensor]
    to_codes: Callable[[Tensor, Tensor], Tensor]
    pack: Callable[[Tensor], Tensor]
    double_quantize: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


OURS = Pieces(nf4_levels, to_codes, pack, double_quantize)
ASKED_IN = dict(zip(Pieces._fields, ("06.5", "06.6", "06.7", "06.9"), strict=True))


class ByHand(NamedTuple):
    """A weight in NF4 with double quantization: four tensors, and the weight's shape."""

    packed: Tensor  # uint8, two codes a byte
    codes: Tensor  # uint8, the scale of each 64 weights in 8 bits
    scale: Tensor  # fp32, one for each 256 of those
    mean: Tensor  # fp32, one number
    shape: tuple[int, ...]

    @property
    def bits(self) -> float:
        """Bits that a parameter takes, the scales included: counted from the tensors."""
        return 8 * (self.packed.nbytes + self.codes.nbytes + self.scale.nbytes + self.mean.nbytes) / prod(self.shape)


@torch.no_grad()
def quantized_by(made: Pieces, W: Tensor) -> ByHand:
    """W in NF4 by these pieces, in reading order, 64 weights a block."""
    blocks = in_blocks(W.detach().float(), 64)
    codes = made.to_codes(blocks, made.nf4_levels(OUTERMOST).to(W.device))
    absmax = blocks.abs().amax(1)
    in_8_bits, scale, mean = made.double_quantize(absmax)
    return ByHand(
        packed=made.pack(codes.flatten().to(torch.uint8)),
        codes=in_8_bits.flatten()[: len(absmax)],
        scale=scale.flatten(),
        mean=mean,
        shape=tuple(W.shape),
    )


@torch.no_grad()
def dequantized_by(made: Pieces, q: ByHand) -> Tensor:
    """The weight that q stands for, in fp32: look the mark up, multiply by the scale; the scales first,
    in the same way."""
    # by .long(): looked up by .int() it takes several times as long
    marks = quant.dynamic_levels().to(q.packed.device)
    absmax = (in_blocks(marks[q.codes.long()], 256) * q.scale[:, None]).flatten()[: len(q.codes)] + q.mean
    # what each of the 256 bytes stands for, made once: half the look-ups
    pairs = made.nf4_levels(OUTERMOST)[quant.unpack(torch.arange(256, dtype=torch.uint8)).long()].view(256, 2)
    W = embedding(q.packed.int(), pairs.to(q.packed.device)).view(-1, 64).mul_(absmax[:, None])
    return W.flatten()[: prod(q.shape)].view(q.shape)


def nf4(W: Tensor) -> ByHand:
    """W in NF4 by the learner's own pieces, by the course's where they left one open; says which, once."""
    return quantized_by(pieces(), W)


def back(q: ByHand) -> Tensor:
    """The weight that q stands for, in fp32, by the same pieces as in `nf4`."""
    return dequantized_by(pieces(), q)


# the pieces that were read last, by the files they came from
_last: dict[tuple[Path | None, ...], Pieces] = {}


def pieces() -> Pieces:
    """The learner's newest pieces, and the course's for those they left open. Prints which, whenever that is new."""
    files = tuple(map(learner.newest_code, Pieces._fields))
    if files not in _last:
        read = {name: own_code.read(name, name) for name in Pieces._fields}
        print(_whose(read, dict(zip(read, files, strict=True))))
        ours = OURS._asdict()
        made = {name: ours[name] if isinstance(one, str) else one for name, one in read.items()}
        _last.clear()
        _last[files] = Pieces(**made)
    return _last[files]


def _whose(read: dict[str, Any], files: dict[str, Path | None]) -> str:
    """Which pieces are the learner's; and of a file that cannot be used, why."""
    open_ones = [name for name, one in read.items() if isinstance(one, str)]
    if not open_ones:
        return "NF4 is put together from your own four pieces."
    broken = [read[name] for name in open_ones if files[name]]
    yours = [name for name in read if name not in open_ones]
    solve = ", ".join(ASKED_IN[name] for name in open_ones)
    said = (
        f"Your own: {', '.join(yours) or 'nothing yet'}. The course's: {', '.join(open_ones)}; to use your own, "
        f"solve {solve}."
    )
    return " ".join([*broken, said])
