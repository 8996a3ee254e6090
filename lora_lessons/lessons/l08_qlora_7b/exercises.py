"""Exercises of lesson 08: the longest row that fits, hours of training."""

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


@exercise("08.2", "How long will it take?", difficulty=1, minutes=4)
def exercise_08_2(hours: Callable[[int, int, float], float]) -> str | None:
    got = answered(hours(3_600_000, 2, 500.0))
    if advice := not_a_number(got):
        return advice
    if math.isclose(got, 4.0):
        if math.isclose(hours(900_000, 3, 250.0), 3.0):
            if math.isclose(hours(900_000, 3, 500.0), 1.5):
                return None
            return "Do not round: 900,000 tokens, three times through, at 500 tokens per second, take 1.5 hours."
        return "Right for these numbers and wrong for others: use all three arguments."
    for wrong, advice in (
        (2.0, "Each epoch goes through all tokens once more, so multiply by `epochs`."),
        (14400.0, "Those are seconds: an hour has 3,600 of them."),
        (240.0, "Those are minutes: an hour has 60 of them."),
        (500 / 7.2e6 / 3600, "Turned round: tokens divided by tokens per second are seconds."),
        (1.0, "More epochs take longer, so multiply; do not divide."),
    ):
        if math.isclose(got, wrong, rel_tol=1e-6):
            return advice
    return f"3,600,000 tokens, twice through, at 500 tokens per second, take 4 hours; you gave {got:g}."
