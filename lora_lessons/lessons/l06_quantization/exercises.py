"""Exercises of lesson 06: NF4 in four steps. The bell's marks, codes, bytes, smaller scales."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ... import quant
from ...course.exercises import Remark, answered, exercise
from . import by_hand

Named = Iterable[tuple[Tensor, str]]  # what a mistake gives, and the sentence that names it


def _named(got: Tensor, mistakes: Named, atol: float = 1e-5) -> str | None:
    """The sentence of the mistake that gives `got`; None where no mistake does."""
    for wrong, sentence in mistakes:
        if got.shape == wrong.shape and torch.allclose(got.float(), wrong.float(), atol=atol, equal_nan=True):
            return sentence
    return None


def _not_a_tensor(value: Any, of: str) -> str | None:
    """What to say of an answer that should be a tensor and is none."""
    return None if isinstance(value, Tensor) else f"Return a tensor of {of}; you returned a {type(value).__name__}."


# ---- 1: the bell's marks ----


@exercise("06.5", "The bell's sixteen marks", difficulty=2, minutes=7, keeps="nf4_levels", imports="""
from lora_lessons.lessons.l06_quantization.by_hand import quantiles
""")  # fmt: skip
def exercise_06_5(levels: Callable[[float], Tensor]) -> str | None:
    outermost = by_hand.OUTERMOST
    try:
        got = answered(levels(outermost))
    except ValueError as error:
        if "step must be greater than zero" not in str(error):
            raise
        return "PyTorch does not reverse by [::-1]: .flip(0) does."
    if advice := _not_a_tensor(got, "marks"):
        return advice
    if got.dtype != torch.float32:
        return (
            f"Your marks are in {str(got.dtype).removeprefix('torch.')}: stay in 32 bits, as the weights are, "
            "or end with .float()."
        )
    right = by_hand.nf4_levels(outermost)
    if got.shape == right.shape and torch.allclose(got, right, rtol=0, atol=1e-6):
        if not torch.allclose(levels(0.9), by_hand.nf4_levels(0.9), atol=1e-6):
            return "Right for this `outermost`, wrong for another: use the argument."
        return None if torch.equal(got, right) else Remark(_SIX_DIGITS)
    if not torch.isfinite(got).all():
        return "A mark is infinite: the bell never ends, so a share of 1 has no quantile. Stop at `outermost`."
    if int((got == 0).sum()) == 2:
        return (
            "0 is there twice: each side begins or ends with it, and only one may keep it. Eight marks to the right of "
            "0 are nine quantiles from 0.5 on, because the first is 0 itself."
        )
    if got.numel() == 15:
        return "15 marks: there are 8 on the right and 7 on the left, beside the 0."
    if got.numel() == 17:
        return "17 marks: the left side has one less than the right, 7. Take 8 quantiles there, and drop their 0."
    if got.shape != right.shape:
        return f"Four bits name 16 marks, in one row; yours have the shape {tuple(got.shape)}."
    if (got.diff() < 0).any():
        if torch.allclose(got.sort().values, right, atol=1e-5):
            return "The right marks, in another order: a code is a place in the row, so sort them from −1 to 1."
        if (got >= 0).all():
            return "The left side has no minus: it is the mirror image of quantiles right of 0."
        return "The marks must rise from −1 to 1. Does the left side stand the right way round?"
    symmetric = by_hand.quantiles(1 - outermost, outermost, 16)
    nine = by_hand.quantiles(0.5, outermost, 9)
    largest = float(nine[-1])
    missed = _named(
        got,
        [
            (right * largest, "Divide all by the largest, so that they end at 1: a block is divided by its absmax."),
            (-right.flip(0), "Turned round: 8 marks on the right of 0, and 7 on the left."),
            (symmetric / symmetric.max(), (
                "Sixteen quantiles in one go have no 0. Take the two sides apart: 7, the 0, and 8."
            )),
            (symmetric, "Sixteen quantiles in one go have no 0. Take the two sides apart: 7, the 0, and 8."),
            (
                torch.cat([-(nine[1:8].flip(0)), nine]) / largest,
                "The left side has even steps of its own: quantiles(0.5, outermost, 8), not the right side's.",
            ),
            (
                torch.cat([-(nine[2:].flip(0)), nine]) / largest,
                (
                    "You took nine quantiles on the left and dropped two, so the mark next to 0 is missing. Take 8, "
                    "and drop their 0 alone."
                ),
            ),
            (torch.linspace(-1, 1, 16), (
                "Those marks are even. The shares of the bell are even, their quantiles are not."
            )),
        ],
        atol=1e-4,
    )  # fmt: skip
    place = int((got - right).abs().argmax())
    return missed or f"Mark {place} should be {right[place]:.6f}; yours is {got[place]:.6f}."


_SIX_DIGITS = (
    "One thing to know: your marks are right to six digits, not to the last bit, so section 6 will find no matrix with "
    "the same bits as bitsandbytes'. With `quantiles` from 0.5 to `outermost` on both sides, "
    "the left one turned round with a minus, it does."
)


# ---- 2: codes ----


@exercise("06.6", "The nearest mark", difficulty=2, minutes=8, keeps="to_codes")
def exercise_06_6(to_codes: Callable[[Tensor, Tensor], Tensor]) -> str | None:
    table = quant.levels("nf4")
    row = torch.tensor([0.5, -2.0, 0.02, 0.3, -0.4, 0.4, 0.0, -1.3])
    blocks = torch.stack([row, 0.1 * row.flip(0) + 0.05])
    try:
        got = answered(to_codes(blocks.clone(), table))
    except RuntimeError as error:
        if "must match the size" not in str(error):
            raise
        return "The shapes do not fit. One absmax a row stands in a column: amax(1, keepdim=True)."
    if advice := _not_a_tensor(got, "codes"):
        return advice
    if got.shape != blocks.shape:
        said = f"There is one code per weight: we expected shape {tuple(blocks.shape)}, you gave {tuple(got.shape)}."
        return said + " Look for the nearest mark along the last axis." * (table.shape[0] in got.shape)
    absmax = blocks.abs().amax(1, keepdim=True)
    scaled = blocks / absmax
    right = quant.nearest(scaled, table).long()
    if got.is_floating_point() and not torch.equal(got, got.round()):
        return _named(got, [
            (table[right], "Those are the marks. A code is a mark's position in `levels`, 0 to 15."),
            (absmax * table[right], "Those are the rounded weights. A code is a mark's position in `levels`, 0 to 15."),
        ]) or "Codes are whole numbers from 0 to 15: the position of the nearest mark in `levels`."  # fmt: skip
    codes = got.long()
    if torch.equal(codes, right):
        return _for_other_blocks(to_codes)
    if other_grid := _other_grid(codes, scaled, table):
        return other_grid
    low, high = blocks.amin(1, keepdim=True), blocks.amax(1, keepdim=True)
    for wrong, sentence in (
        (blocks, "Divide by each block's absmax first: the marks only reach from −1 to 1."),
        (blocks / blocks.abs().max(), "That is one absmax for all blocks: take each row's own, amax(1, keepdim=True)."),
        (blocks / blocks.abs().amax(0), "You took each column's largest. A block is a row: amax(1, keepdim=True)."),
        (blocks / high, "You divided by the largest value; −2 has the largest *absolute* value: .abs() first."),
        (blocks / low, "You divided by the smallest value, which turned signs round. The absmax is of .abs()."),
        (2 * (blocks - low) / (high - low) - 1, (
            "You stretched each block from its lowest to its highest, so 0 has moved. Only divide."
        )),
        (blocks / blocks.abs().mean(1, keepdim=True), "You divided by the mean, not by the largest absolute value."),
    ):  # fmt: skip
        if torch.equal(codes, quant.nearest(wrong, table).long()):
            return sentence
    below, above = torch.bucketize(scaled, table, right=True) - 1, torch.bucketize(scaled, table)
    for side, beside in (("below", below), ("above", above)):
        if torch.equal(codes, beside.clamp(0, 15)):
            return f"You took the mark {side} each weight; the borders lie half-way between two marks."
    i = int((codes != right).any(1).nonzero()[0])
    return (
        f"For {[round(x, 2) for x in blocks[i].tolist()]} we expected {right[i].tolist()}; "
        f"you gave {codes[i].tolist()}."
    )


def _other_grid(codes: Tensor, scaled: Tensor, table: Tensor) -> str | None:
    """What to say where `codes` are of another grid than the table's, or of the table read otherwise; else None."""
    steps = [(scaled * 7).round() + shift for shift in (0, 7, 8)]
    steps += [(scaled * 8).round() + 8, ((scaled + 1) / 2 * 15).round(), ((scaled + 1) / 2 * 16).floor()]
    if any(torch.equal(codes, way.clamp(least, 15).long()) for way in steps for least in (-7, 0)):
        return "Those are even marks. The marks of `levels` crowd around 0: find the nearest of them for each weight."
    right = quant.nearest(scaled, table).long()
    for shift in (1, -7, -8):
        if torch.equal(codes, right + shift):
            return f"A code is a position in `levels`, counted from 0; yours are counted from {shift}."
    apart = scaled[..., None] - table
    if torch.equal(codes, apart.argmin(-1)) or torch.equal(codes, apart.argmax(-1)):
        return "A distance has no sign: take .abs() of the differences, and then the smallest."
    if torch.equal(codes, apart.abs().argmax(-1)):
        return "You took the farthest mark of all: argmin finds the nearest, argmax the farthest."
    return None


def _for_other_blocks(to_codes: Callable[[Tensor, Tensor], Tensor]) -> str | None:
    """What is wrong with the codes of zeros, of another table, and of weights near every border; None if nothing."""
    if to_codes(torch.zeros(2, 4), quant.levels("nf4")).tolist() != [[7] * 4] * 2:
        return (
            "Right, but a block of zeros has absmax 0, and 0/0 is not a number. Divide by absmax.clamp(min=1e-38). Its "
            "codes must be 7, whose mark is 0 (code 0 stands for −1)."
        )
    for table in (quant.levels("nf4"), quant.levels("int4")):
        middle = (table[:-1] + table[1:]) / 2
        scaled = torch.cat([middle - 0.004, table, middle + 0.004])
        for sign, absmax in ((1, 3.7), (-1, 3.7), (1, 0.0037)):
            got = to_codes(sign * absmax * scaled[None], table)[0].long()
            right = quant.nearest(sign * scaled, table).long()
            if places := (got != right).nonzero().flatten().tolist():
                x, place = sign * scaled[places[0]].item(), places[0]
                return (
                    f"Right for 16 weights, but of {len(right)} others {len(places)} get another code: "
                    f"{absmax * x:.3g} with absmax {absmax} is {x:.3f} of it, and its code is {right[place]}, "
                    f"not {got[place]}."
                )
    table = quant.levels("nf4")
    borders = (table[1:] + table[:-1]) / 2
    on_them = torch.cat([borders, torch.ones(1)])[None]
    if not torch.equal(to_codes(on_them, table)[0].long(), quant.nearest(on_them[0], table).long()):
        return Remark(
            "One thing to know: a handful of our base's 106 million weights lie on a border to the last bit, and there "
            "yours takes the other neighbour. (Distances are rounded, too; right=True counts the border itself.) "
            "Borders half-way between the marks, and torch.bucketize as it is, agree with bitsandbytes there, too."
        )
    return None


# ---- 3: bytes ----


@exercise("06.7", "Two marks a byte", difficulty=1, minutes=5, keeps="pack")
def exercise_06_7(pack: Callable[[Tensor], Tensor]) -> str | None:
    codes = torch.tensor([2, 11, 15, 0, 7, 10], dtype=torch.uint8)
    returned = answered(pack(codes.clone()))
    if advice := _not_a_tensor(returned, "bytes"):
        return advice
    got, right = returned.flatten().tolist(), [43, 240, 122]
    if got == right:
        if returned.ndim != 1:
            return f"Right, in shape {tuple(returned.shape)}: make it one row."
        if returned.dtype != torch.uint8:
            return (
                f"Right numbers, but each takes {returned.element_size()} bytes as {returned.dtype}: "
                "end with .to(torch.uint8)."
            )
        every = torch.arange(256, dtype=torch.uint8)
        same = torch.equal(pack(quant.unpack(every)), every)
        return None if same else "Right for six codes, wrong for others: every pair of codes has a byte of its own."
    named = {
        (178, 15, 167): (
            "The halves are swapped: the first of two codes belongs in the upper half, 16 · first + second."
        ),
        (32, 183, 250): (
            "You pair the first half of the codes with the second half. Neighbours share a byte: codes[::2], "
            "codes[1::2]."
        ),
        (13, 15, 17): (
            "A sum forgets which code was which: 2 + 11 is 13, and so is 11 + 2. Shift the first up by 4 bits, · 16."
        ),
        (0, 240, 0): "+ binds before <<, so you shift by 4 plus the second code: (codes[::2] << 4) + codes[1::2].",
        (11, 15, 15): (
            "The first code was not shifted, so the two lie on each other: · 16, or << 4, before you join them."
        ),
    }  # fmt: skip
    if len(got) != 3:
        return f"Six codes fill three bytes; you gave {len(got)}."
    return named.get(tuple(got)) or f"The codes 2, 11, 15, 0, 7, 10 make {right}: 43 is 16 · 2 + 11. You gave {got}."


# ---- 4: the scales ----


@exercise("06.9", "The scales, rounded again", difficulty=3, minutes=7, keeps="double_quantize", imports="""
from lora_lessons import quant
from lora_lessons.lessons.l06_quantization.by_hand import in_blocks
""")  # fmt: skip
def exercise_06_9(double_quantize: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]) -> str | None:
    absmax = 0.3 + 0.05 * torch.randn(300, generator=torch.Generator().manual_seed(8))
    try:
        returned = answered(double_quantize(absmax.clone()))
    except RuntimeError as error:
        if "must match the size" in str(error):
            return (
                "The scales lie in a row, and each belongs to a row of 256: keep them as a column, amax(1, "
                "keepdim=True)."
            )
        raise
    if not isinstance(returned, tuple) or len(returned) != 3:
        return "Return three things: the codes, the scale of each block, and the mean."
    if returned[0] is ... or returned[0] is None:
        return "The codes are missing: quant.eight_bit gives them."
    if not all(isinstance(one, Tensor) for one in returned):
        return "Return tensors, all three: no .item(), no list."
    codes, scale, mean = (one.flatten() for one in returned)
    right = [one.flatten() for one in by_hand.double_quantize(absmax)]
    counts, expected = ([len(one) for one in three] for three in ((codes, scale, mean), right))
    if counts != expected and sorted(counts) == sorted(expected):
        return "You return the three in another order: first the codes, then the scale of each block, then the mean."
    if {scale.dtype, mean.dtype} != {torch.float32}:
        return "Keep the scales and the mean in 32 bits, as absmax is: only the codes are smaller."
    if mean.numel() == 1 and torch.allclose(mean, by_hand.in_blocks(absmax, 256).mean()):
        return "Your mean counts the zeros that fill the last row: take the mean of `absmax` itself, before in_blocks."
    if mean.numel() != 1 or not torch.allclose(mean, absmax.mean()):
        return f"The third is the mean of all scales, one number: {absmax.mean():.4f} here."
    if len(scale) != 2:
        return _named(scale, [
            ((absmax - mean).abs().max()[None], "That is one scale for all 300: blocks of 256 have one each."),
            (by_hand.in_blocks(absmax - mean, 64).abs().amax(1), (
                "Those blocks hold 64 scales. Here they hold 256: the weights' own scales are few."
            )),
        ]) or f"300 scales make two blocks of 256, and each has one scale; you gave {len(scale)}."  # fmt: skip
    named: list[tuple[Tensor, str]] = [
        (by_hand.in_blocks(absmax, 256).abs().amax(1), (
            "Subtract the mean first. All scales are positive, so without that half of the 8-bit marks go unused."
        )),
        ((by_hand.in_blocks(absmax, 256) - mean).abs().amax(1), (
            "The zeros that fill the last block were there when you subtracted the mean, and became its largest: "
            "subtract first, then in_blocks."
        )),
        (by_hand.in_blocks(absmax - mean, 256).amax(1), (
            "A scale below the mean is negative now: .abs() before the maximum."
        )),
    ]  # fmt: skip
    if not torch.allclose(scale, right[1]):
        return (
            _named(scale, named, 1e-6) or "The second is each block's largest absolute value, after the mean is gone."
        )
    blocks = by_hand.in_blocks(absmax - mean, 256)
    if codes.is_floating_point() and not torch.equal(codes, codes.round()):
        return "The codes are whole numbers, 0 to 255: give the divided blocks to quant.eight_bit."
    if not torch.equal(codes[:300].long(), right[0][:300].long()):
        even = (blocks / returned[1].view(-1, 1) * 127).round()
        return _named(codes.float(), [
            (quant.eight_bit(blocks).flatten(), (
                "Divide each block by its scale before quant.eight_bit: its marks reach from −1 to 1."
            )),
            (even.flatten(), (
                "Those are even steps. bitsandbytes' 256 marks crowd around 0: quant.eight_bit knows them."
            )),
        ]) or "The codes are quant.eight_bit of each block divided by its scale."  # fmt: skip
    equal = torch.full((300,), 0.25)
    codes, scale, mean = double_quantize(equal)
    if not torch.equal(codes.flatten()[:300].long(), by_hand.double_quantize(equal)[0].flatten()[:300].long()):
        return "Right, but where all scales are equal, 0/0 is not a number: divide by scale.clamp(min=1e-38)."
    return None
