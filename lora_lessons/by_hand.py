"""NF4 by hand: the two steps that lesson 06 asks for, as the course writes them, and NF4 put together from the
learner's.

Lessons 06 and 07 import `nf4` (a weight to 4 bits), `back` (and back) and `ByHand` (what is kept in between).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding, pad

from . import quant
from .course import learner, own_code


def in_blocks(x: Tensor, size: int) -> Tensor:
    """The numbers of x in rows of `size`, in reading order; the last row is filled up with zeros."""
    return pad(x.flatten(), (0, -x.numel() % size)).view(-1, size)


# ---- the two steps ----


def to_codes(blocks: Tensor, levels: Tensor) -> Tensor:
    """The code of each weight, 0 … 15; every row of `blocks` has an absmax of its own."""
    absmax = blocks.abs().amax(1, keepdim=True)
    borders = (levels[1:] + levels[:-1]) / 2
    return torch.bucketize(blocks / absmax.clamp(min=1e-38), borders)


def from_bytes(packed: Tensor, levels: Tensor, absmax: Tensor) -> Tensor:
    """The weights, a block of 64 in each row; `absmax` is a column."""
    codes = torch.stack([packed >> 4, packed & 0xF], dim=1).view(-1, 64)
    return levels[codes.long()] * absmax


# ---- put together ----


class Pieces(NamedTuple):
    """What the learner writes of NF4; each is theirs or the course's."""

    to_codes: Callable[[Tensor, Tensor], Tensor]
    from_bytes: Callable[[Tensor, Tensor, Tensor], Tensor]


OURS = Pieces(to_codes, from_bytes)
ASKED_IN = dict(zip(Pieces._fields, ("06.1", "06.2"), strict=True))


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
    codes = made.to_codes(blocks, quant.levels("nf4").to(W.device)).flatten().to(torch.uint8)
    scales = quant.double_quantize(blocks.abs().amax(1))
    return ByHand(codes[::2] * 16 + codes[1::2], *scales, tuple(W.shape))


@torch.no_grad()
def dequantized_by(made: Pieces, q: ByHand) -> Tensor:
    """The weight that q stands for, in fp32."""
    absmax = quant.double_dequantize(quant.DoubleQuantized(q.codes, q.scale, q.mean))
    # what each of the 256 bytes stands for, asked once: a look-up a byte is faster than two
    pairs = made.from_bytes(torch.arange(256, dtype=torch.uint8), quant.levels("nf4"), torch.ones(8, 1)).view(256, 2)
    # by .int(): looked up by .long() it takes longer
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
        return "NF4 is put together from your own two pieces."
    broken = [read[name] for name in open_ones if files[name]]
    yours = [name for name in read if name not in open_ones]
    solve = ", ".join(ASKED_IN[name] for name in open_ones)
    said = (
        f"Your own: {', '.join(yours) or 'nothing yet'}. The course's: {', '.join(open_ones)}; to use your own, "
        f"solve {solve}."
    )
    return " ".join([*broken, said])
