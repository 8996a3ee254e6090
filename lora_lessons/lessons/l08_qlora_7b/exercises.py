"""Exercises of lesson 08: the longest row that fits."""

from __future__ import annotations

import math
from collections.abc import Callable

from ...course.exercises import answered, exercise, not_a_number


@exercise("08.1", "The longest row that fits", difficulty=2, minutes=5)
def exercise_08_1(longest: Callable[[float, float, float], int]) -> str | None:
    got = answered(longest(6.0e9, 1.5e6, 12.9e9))
    if advice := not_a_number(got):
        return advice
    if got == 4600:
        small, uneven = longest(13e9, 1.5e6, 12.9e9), longest(6.0e9, 1.4e6, 12.9e9)
        if small != 0:
            return f"Right here, but when the fixed part alone is too large, no row fits: return 0; you gave {small}."
        if uneven != 4928:
            return f"Right here, but a token that only half fits does not fit: round down, with // or int(). For 1.4 MB per token you gave {uneven:g}."
        if longest(2e9, 2e6, 8e9) != 3000:
            return "Right for a room of 12.9 GB and wrong for another: use all three arguments."
        return None
    tenth = "Use all of the room here. Leaving a tenth free is good advice for a real card, but it is not part of this count."
    for wrong, advice in (
        (8600, "The fixed part takes its room first: subtract it before you divide."),
        (8600 - 6.0e9, "You subtracted bytes from tokens. Take the fixed part from the room, and divide what is left."),
        (12600, "The fixed part takes room away: subtract it, do not add it."),
        (-4600, "Turned round: what is left is the room without the fixed part, room − fixed."),
        (
            12.9e9 / (6.0e9 + 1.5e6),
            "Only the activations grow with the tokens. The fixed part is there once, so subtract it instead of adding it to each token.",
        ),
        (6.9e9, "Those are the bytes that are left. Divide them by the bytes per token."),
        (6.9, "Those are the gigabytes that are left. Divide the bytes that are left by the bytes per token."),
        (6.9e9 * 1.5e6, "Divide by the bytes per token: each token takes its share of what is left."),
        (1.5e6 / 6.9e9, "Turned round: divide the bytes that are left by the bytes per token."),
        (4599, "One too few: the last token fits exactly."),
        (4601, "One too many: 4,600 tokens fill the room exactly."),
        (0.9 * 4600, tenth),
        ((0.9 * 12.9e9 - 6.0e9) / 1.5e6, tenth),
    ):
        if math.isclose(got, wrong, rel_tol=1e-9) or (got == int(wrong) != 0):
            return advice
    if got == 0:
        return "0 says that no row fits, but the fixed part leaves 6.9 GB, and a token takes 1.5 MB: (room − fixed) / per_token."
    return f"With a fixed part of 6 GB, 1.5 MB per token and room for 12.9 GB, 4,600 tokens fit; you gave {got:g}."
