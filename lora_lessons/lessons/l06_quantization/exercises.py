"""Exercises of lesson 06: bits per parameter, rounding a block, two codes in a byte."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ... import quant
from ...course.exercises import answered, exercise, not_a_number


@exercise("06.1", "Bits per parameter", difficulty=1, minutes=4)
def exercise_06_1(bits: Callable[[int, int, int], float]) -> str | None:
    got = answered(bits(4, 32, 64))
    got = got.item() if isinstance(got, Tensor) and got.ndim == 0 else got
    if advice := not_a_number(got):
        return advice
    if math.isclose(got, 4.5):
        if math.isclose(bits(4, 16, 32), 4.5) and math.isclose(bits(3, 32, 128), 3.25):
            return None
        return "Right for 4-bit codes and 32-bit scales in blocks of 64, but wrong for others: use all three arguments."
    if math.isclose(got, 36):
        return "A scale serves its whole block, so each weight pays for only a part of it."
    if math.isclose(got, 6):
        return "This is the wrong way round: 64 weights share a scale of 32 bits, so each pays 32/64 of a bit."
    if math.isclose(got, 0.5):
        return "That is only the share of the scale: add the code's own bits."
    if math.isclose(got, 36 / 64):
        return "Only the scale is shared: every weight has a code of its own."
    if math.isclose(got, 4):
        return "The half bit is lost: whole-number division (//) drops it, and so does leaving the scale out."
    if math.isclose(got, 288):
        return "Those are the bits of a whole block: divide by the number of weights in it."
    return f"For codes of 4 bits, scales of 32 bits and blocks of 64 we expected 4.5; you gave {got:g}."


@exercise("06.2", "Round a block", difficulty=2, minutes=8)
def exercise_06_2(to_codes: Callable[[Tensor, Tensor], Tensor]) -> str | None:
    table = quant.levels("nf4")
    block = torch.tensor([0.5, -2.0, 0.02, 0.3, -0.4, 0.4, 0.0, -1.3])
    expected = quant.nearest(block / 2, table).tolist()
    got = answered(to_codes(block.clone(), table))
    if not isinstance(got, Tensor):
        return f"Return a tensor of codes; you returned a {type(got).__name__}."
    if got.shape != block.shape:
        advice = f"There is one code per weight: we expected shape {tuple(block.shape)}, you gave {tuple(got.shape)}."
        if got.shape == table.shape:
            advice += " You have one per level: look for the nearest level along the other axis, argmin(1)."
        return advice
    if got.is_floating_point() and not torch.equal(got, got.round()):
        if torch.allclose(got.float(), table[expected], atol=1e-3):
            return "Those are the levels. A code is a level's position in the table, 0 to 15."
        if torch.allclose(got.float(), 2 * table[expected], atol=1e-3):
            return (
                "Those are the rounded weights, as they come back. A code is a level's position in the table, 0 to 15."
            )
        return "Codes are whole numbers from 0 to 15: the position of the nearest level in `table`."
    codes = [int(code) for code in got]
    if codes == expected:
        other = quant.levels("int4")
        if [int(code) for code in to_codes(block.clone(), other)] != quant.nearest(block / 2, other).tolist():
            return "Right for NF4's table, but wrong for another: use `table`, not a table of your own."
        if [int(code) for code in to_codes(torch.zeros(4), table)] != [7] * 4:
            return (
                "Right, but a block of zeros has absmax 0, and 0/0 is not a number. Divide by absmax.clamp(min=1e-38). Its codes must "
                "be 7, whose level is 0 (code 0 stands for −1)."
            )
        return _at_every_border(to_codes)
    if other_grid := _other_grid(codes, block / 2, table):
        return other_grid
    lowest, highest = block.min(), block.max()
    for wrong, advice in (
        (block, "Divide by the block's absmax first: the table only reaches from −1 to 1."),
        (
            block / block.max(),
            "You divided by the largest value; −2 has the largest *absolute* value (block.abs().max()).",
        ),
        (
            block / lowest,
            "You divided by the smallest value, which turned every sign. The absmax is block.abs().max().",
        ),
        (
            2 * (block - lowest) / (highest - lowest) - 1,
            "You stretched the block from its smallest value to its largest, so 0 is no longer 0. Only divide, by block.abs().max().",
        ),
        (block / block.abs().mean(), "You divided by the mean. The absmax is block.abs().max()."),
        (block / block.norm(), "You divided by the norm. The absmax is block.abs().max()."),
        (block / block.std(), "You divided by the standard deviation. The absmax is block.abs().max()."),
    ):
        if codes == quant.nearest(wrong, table).tolist():
            return advice
    below, above = torch.bucketize(block / 2, table, right=True) - 1, torch.bucketize(block / 2, table)
    for side, beside in (("below", below), ("above", above)):
        if codes == beside.clamp(0, 15).tolist():
            return f"You took the level {side} each weight; take the nearest one."
    return f"For {[round(x, 2) for x in block.tolist()]} expected {expected}; you gave {codes}."


def _other_grid(codes: list[int], scaled: Tensor, table: Tensor) -> str | None:
    """What to say where `codes` are of another grid than the table's, or of the table read otherwise; else None."""
    steps = [(scaled * 7).round() + shift for shift in (0, 7, 8)]
    steps += [(scaled * 8).round() + 8, ((scaled + 1) / 2 * 15).round(), ((scaled + 1) / 2 * 16).floor()]
    if any(codes == [int(code) for code in way.clamp(least, 15)] for way in steps for least in (-7, 0)):
        return (
            "Those are evenly spaced steps. The levels of `table` are not: they crowd around 0. Measure each weight's distance to "
            "every level, and take the nearest one."
        )
    right = quant.nearest(scaled, table).tolist()
    for shift in (1, -7, -8):
        if codes == [code + shift for code in right]:
            return f"A code is a position in `table`, counted from 0; yours are counted from {shift}."
    distances = scaled[:, None] - table
    if codes in (distances.argmin(1).tolist(), distances.argmax(1).tolist()):
        return "A distance has no sign: take .abs() of the differences, and then the smallest."
    if codes == distances.abs().argmax(1).tolist():
        return "You took the farthest level of all: argmin finds the nearest, argmax the farthest."
    return None


def _at_every_border(to_codes: Callable[[Tensor, Tensor], Tensor]) -> str | None:
    """What is wrong with codes of weights close below and above the middle between any two levels; None if nothing."""
    for name in ("nf4", "int4"):
        table = quant.levels(name)
        middle = (table[:-1] + table[1:]) / 2
        scaled = torch.cat([middle - 0.004, table, middle + 0.004])
        for sign in (1, -1):
            got = [int(code) for code in to_codes(sign * 3.7 * scaled, table)]
            right = quant.nearest(sign * scaled, table).tolist()
            if wrong := [place for place, pair in enumerate(zip(got, right, strict=True)) if pair[0] != pair[1]]:
                x, place = sign * scaled[wrong[0]].item(), wrong[0]
                return (
                    f"Right for 8 weights, but of {len(right)} others {len(wrong)} get another code: {3.7 * x:.3f} with absmax "
                    f"3.7 is {x:.3f} of it, and its code is {right[place]}, not {got[place]}."
                )
    return None


@exercise("06.3", "Two codes in a byte", difficulty=2, minutes=6)
def exercise_06_3(unpack: Callable[[Tensor], Tensor]) -> str | None:
    packed, right = torch.tensor([0x12, 0xF0, 0x7A], dtype=torch.uint8), [1, 2, 15, 0, 7, 10]
    returned = answered(unpack(packed.clone()))
    if not isinstance(returned, Tensor):
        return f"Return a tensor of codes; you returned a {type(returned).__name__}."
    got = [int(code) for code in returned.flatten()]
    if got == right:
        if returned.ndim != 1:
            return f"Right order, in shape {tuple(returned.shape)}: make it one row (flatten())."
        every = torch.arange(256, dtype=torch.uint8)
        codes = [int(code) for code in unpack(every.clone())]
        if codes == quant.unpack(every).tolist():
            return None
        wrong = next((byte for byte in range(256) if codes[2 * byte : 2 * byte + 2] != [byte >> 4, byte & 0xF]), 0)
        theirs = codes[2 * wrong : 2 * wrong + 2]
        return f"Right for three bytes, but 0x{wrong:02X} holds {[wrong >> 4, wrong & 0xF]}; you gave {theirs}."
    if got == [2, 1, 0, 15, 10, 7]:
        return "The halves are swapped: the first code is in the upper half of the byte (packed >> 4)."
    if got == [2, 0, 10, 1, 15, 7]:
        return "That is the colleague's code: all lower halves, then all upper ones."
    if got == [1, 15, 7, 2, 0, 10]:
        return "You put all first halves before all second ones, and they must take turns. Stack them along a new last dimension."
    if got == [0x10, 2, 0xF0, 0, 0x70, 10]:
        return "You left the upper half in its place: shift it down (packed >> 4)."
    if len(got) == len(right) and got[::2] == right[::2]:
        return "The upper halves are right. The lower half of a byte is what `& 0xF` leaves."
    if len(got) != len(right):
        return f"{len(packed)} bytes hold {len(right)} codes; you gave {len(got)}."
    return f"The bytes 0x12, 0xF0, 0x7A hold {right}; you gave {got}."
