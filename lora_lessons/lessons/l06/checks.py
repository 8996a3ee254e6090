"""Exercises of lesson 06: weights to codes of NF4, and bytes back to weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ... import quant
from ...course.exercises import Remark, answered, exercise, tried, wrong_if, wrong_like

# ---- 1: codes ----


@exercise("06.1", "The nearest mark", difficulty=2, minutes=8, keeps="to_codes")
def exercise_06_1(to_codes: Callable[[Tensor, Tensor], Tensor]) -> str | None:
    table = quant.levels("nf4")
    row = torch.tensor([0.5, -2.0, 0.02, 0.3, -0.4, 0.4, 0.0, -1.3])
    blocks = torch.stack([row, 0.1 * row.flip(0) + 0.05])
    column = "The shapes do not fit. One absmax a row stands in a column: amax(1, keepdim=True)."
    got = tried(
        lambda: answered(to_codes(blocks.clone(), table.clone())), (RuntimeError, "must match the size", column)
    )
    wrong_if((not isinstance(got, Tensor), f"Return a tensor of codes; you returned a {type(got).__name__}."))
    said = f"There is one code per weight: we expected shape {tuple(blocks.shape)}, you gave {tuple(got.shape)}."
    along = " Look for the nearest mark along the last axis." * (table.shape[0] in got.shape)
    wrong_if((got.shape != blocks.shape, said + along))
    absmax, low, high = blocks.abs().amax(1, keepdim=True), blocks.amin(1, keepdim=True), blocks.amax(1, keepdim=True)
    scaled = blocks / absmax
    right = quant.nearest(scaled, table).long()
    if got.is_floating_point():
        wrong_like(
            got,
            (table[right], "Those are the marks. A code is a mark's position in `levels`, 0 to 15."),
            (absmax * table[right], "Those are the rounded weights. A code is a mark's position in `levels`, 0 to 15."),
        )
        whole = "Codes are whole numbers from 0 to 15: the position of the nearest mark in `levels`."
        wrong_if((not torch.equal(got, got.round()), whole))
    codes, apart = got.long(), scaled[..., None] - table
    even = "Those are even marks. The marks of `levels` crowd around 0: find the nearest of them for each weight."
    steps = [(scaled * 7).round() + shift for shift in (0, 7, 8)]
    steps += [(scaled * 8).round() + 8, ((scaled + 1) / 2 * 15).round(), ((scaled + 1) / 2 * 16).floor()]
    counted = "A code is a position in `levels`, counted from 0; yours are counted from {}."
    sign = "A distance has no sign: take .abs() of the differences, and then the smallest."
    wrong_like(
        codes,
        *((way.clamp(least, 15), even) for way in steps for least in (-7, 0)),
        *((right + shift, counted.format(shift)) for shift in (1, -7, -8)),
        (apart.argmin(-1), sign),
        (apart.argmax(-1), sign),
        (apart.abs().argmax(-1), "You took the farthest mark of all: argmin finds the nearest, argmax the farthest."),
    )
    divided = [
        (blocks, "Divide by each block's absmax first: the marks only reach from −1 to 1."),
        (blocks / blocks.abs().max(), "That is one absmax for all blocks: take each row's own, amax(1, keepdim=True)."),
        (blocks / blocks.abs().amax(0), "You took each column's largest. A block is a row: amax(1, keepdim=True)."),
        (blocks / high, "You divided by the largest value; −2 has the largest *absolute* value: .abs() first."),
        (blocks / low, "You divided by the smallest value, which turned signs round. The absmax is of .abs()."),
        (2 * (blocks - low) / (high - low) - 1, (
            "You stretched each block from its lowest to its highest, so 0 has moved. Only divide."
        )),
        (blocks / blocks.abs().mean(1, keepdim=True), "You divided by the mean, not by the largest absolute value."),
    ]  # fmt: skip
    beside = "You took the mark {} each weight; the borders lie half-way between two marks."
    wrong_like(
        codes,
        *((quant.nearest(wrong, table), sentence) for wrong, sentence in divided),
        ((torch.bucketize(scaled, table, right=True) - 1).clamp(0, 15), beside.format("below")),
        (torch.bucketize(scaled, table).clamp(0, 15), beside.format("above")),
    )
    i = int((codes != right).any(1).int().argmax())
    said = f"For {[round(x, 2) for x in blocks[i].tolist()]} we expected {right[i].tolist()}; you gave "
    wrong_if((not torch.equal(codes, right), f"{said}{codes[i].tolist()}."))
    return _for_other_blocks(to_codes)


def _for_other_blocks(to_codes: Callable[[Tensor, Tensor], Tensor]) -> str | None:
    """What is wrong with the codes of zeros, of another table, and of weights near every border; None if nothing."""
    zeros = to_codes(torch.zeros(2, 4), quant.levels("nf4").clone()).tolist()
    wrong_if(
        (
            zeros != [[7] * 4] * 2,
            "Right, but a block of zeros has absmax 0, and 0/0 is not a number. Divide by absmax.clamp(min=1e-38). Its "
            "codes must be 7, whose mark is 0 (code 0 stands for −1).",
        )
    )
    for table in (quant.levels("nf4"), quant.levels("int4")):
        middle = (table[:-1] + table[1:]) / 2
        scaled = torch.cat([middle - 0.004, table, middle + 0.004])
        for sign, absmax in ((1, 3.7), (-1, 3.7), (1, 0.0037)):
            got = to_codes(sign * absmax * scaled[None], table.clone())[0].long()
            right = quant.nearest(sign * scaled, table).long()
            places = (got != right).nonzero().flatten().tolist()
            for place in places:
                x = sign * scaled[place].item()
                said = (
                    f"Right for 16 weights, but of {len(right)} others {len(places)} get another code: "
                    f"{absmax * x:.3g} with absmax {absmax} is {x:.3f} of it, and its code is {right[place]}, "
                    f"not {got[place]}."
                )
                wrong_if((True, said))
    table = quant.levels("nf4")
    borders = (table[1:] + table[:-1]) / 2
    on_them = torch.cat([borders, torch.ones(1)])[None]
    if not torch.equal(to_codes(on_them.clone(), table.clone())[0].long(), quant.nearest(on_them[0], table).long()):
        return Remark(
            "One thing to know: a handful of our base's 106 million weights lie on a border to the last bit, and there "
            "yours takes the other neighbour. (Distances are rounded, too; right=True counts the border itself.) "
            "Borders half-way between the marks, and torch.bucketize as it is, agree with bitsandbytes there, too."
        )
    return None


# ---- 2: and back ----


@exercise("06.2", "From bytes to weights", difficulty=2, minutes=7, keeps="from_bytes")
def exercise_06_2(from_bytes: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    levels, absmax = quant.levels("nf4"), torch.tensor([[0.5], [3.0]])
    packed = torch.randint(0, 256, (64,), generator=torch.Generator().manual_seed(6)).to(torch.uint8)
    got = tried(
        lambda: answered(from_bytes(packed.clone(), levels.clone(), absmax.clone())),
        (
            IndexError,
            "out of bounds|out of range",
            "A code is larger than 15: bring the upper half down by 4 bits, packed >> 4, and keep the lower, & 0xF.",
        ),
        (IndexError, "", "PyTorch takes an index in uint8 for a mask: write levels[codes.long()]."),
        (
            RuntimeError,
            "must match the size",
            "The shapes do not fit. One absmax belongs to 64 weights: .view(-1, 64) before you multiply.",
        ),
    )
    wrong_if((not isinstance(got, Tensor), f"Return a tensor of weights; you returned a {type(got).__name__}."))
    codes = quant.unpack(packed).long().view(-1, 64)
    right, (high, low) = levels[codes] * absmax, (packed >> 4, packed & 0xF)
    wrong_if(
        (got.numel() == packed.numel(), "A byte holds two codes; you gave one weight for each byte."),
        (
            got.numel() == len(absmax) * right.numel(),
            "Every absmax met every weight, because the weights stand in one row: .view(-1, 64) before you multiply.",
        ),
        (got.numel() != right.numel(), f"64 bytes hold 128 weights; you gave {got.numel()}."),
    )
    swapped = torch.stack([low, high], 1).view(-1, 64).long()
    apart = torch.cat([high, low]).view(-1, 64).long()
    wrong_like(
        got,
        (levels[codes], "Those are marks. Multiply each row by its block's absmax."),
        (levels[codes] / absmax, "To go back, multiply by the absmax: the weights were divided by it."),
        (codes * absmax, "Those are codes. Look each one up: levels[codes.long()]."),
        (codes, "Those are codes. Look each one up: levels[codes.long()]."),
        ((codes - 7) / 7 * absmax, "Those are even marks. Look each code up: levels[codes.long()]."),
        (levels[codes] * absmax.flip(0), "Each row has its own absmax, in the order of the blocks."),
        (levels[codes] * absmax.max(), "That is one absmax for all: each row has its own."),
        (levels[swapped] * absmax, "The halves are swapped: the first of two codes is in the upper half, packed >> 4."),
        (levels[apart] * absmax, (
            "You put all upper halves before all lower ones. Neighbours share a byte: torch.stack([high, low], 1)."
        )),
    )  # fmt: skip
    i = int((got.flatten() - right.flatten()).abs().argmax())
    other = torch.linspace(-1, 1, 16)
    wrong_if(
        (
            not torch.allclose(got.flatten().float(), right.flatten(), atol=1e-6),
            f"Weight {i} should be {right.flatten()[i]:.4f}; yours is {got.flatten()[i]:.4f}.",
        ),
        (
            got.shape != right.shape,
            f"Right numbers, in shape {tuple(got.shape)}: put a block in each row, .view(-1, 64).",
        ),
    )
    same = torch.allclose(from_bytes(packed.clone(), other.clone(), absmax.clone()), other[codes] * absmax, atol=1e-6)
    wrong_if((not same, "Right for NF4's marks, wrong for others: use the argument `levels`."))
