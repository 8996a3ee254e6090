"""Lesson 00: What is LoRA, in five minutes?

After it, the learner can teach a model a new voice, and say what was trained and how large it is.
"""

from __future__ import annotations

from collections.abc import Callable

from ...course.exercises import exercise, one_number, wrong_if
from . import widget as widget  # it registers itself


@exercise("00.1", "Bytes of a list of numbers", difficulty=1, minutes=2)
def exercise_00_1(answer: Callable[[int, float], float]) -> None:
    value = one_number(answer(1000, 16))
    mistakes = {
        16_000: "That is the number of bits. A byte is 8 bits: divide by 8.",
        128_000: "You multiplied by 8. A byte is 8 bits, so there are fewer bytes than bits: divide by 8.",
        1000: "You returned the count of numbers. Each of them takes `bits` bits.",
        125: "You gave every number 1 bit: multiply by `bits` before you divide by 8.",
        16: "You returned the bits of one number. There are `n` of them, and 8 bits are a byte.",
        2: "That is one number. There are `n` of them: multiply by n.",
        2e-6: "That is in GB. Return bytes: no division by a billion yet.",
        2e-3: "That is in MB. Return bytes: no division by a million yet.",
        16_000 / 1024: "1,024 is for kibibytes. Bits become bytes by dividing by 8.",
    }
    other = f"A thousand numbers of 16 bits take 2,000 bytes (2 bytes each); you have {value}."
    wrong_if((value != 2000, mistakes.get(value, other)))
    for n, bits, right, sentence in (
        (1000, 4, 500, "For 16 bits your answer is right. A thousand numbers of 4 bits take 500 bytes; you have {}: "
            "use `bits` as given."),
        (40, 6, 30, "For a thousand numbers your answer is right. Forty numbers of 6 bits take 30 bytes; you have {}: "
            "use `n` as given."),
        (3, 4.5, 1.6875, "Right where it comes out even. Three numbers of 4.5 bits take 1.6875 bytes; you have {}: "
            "bits may be an average, as NF4's are, so keep what is after the point. Divide with `/`; `//`, int() and "
            "round() drop it."),
    ):  # fmt: skip
        got = answer(n, bits)
        wrong_if((got != right, sentence.format(got)))
