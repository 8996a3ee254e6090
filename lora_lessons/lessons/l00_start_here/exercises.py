"""Exercises of lesson 00: bytes of a list; bits and GiB."""

from __future__ import annotations

from collections.abc import Callable

from ...course.exercises import answered, exercise, not_a_number


@exercise("00.1", "Bytes of a list of numbers", difficulty=1, minutes=2)
def exercise_00_1(answer: Callable[[int, float], float]) -> str | None:
    value = answered(answer(1000, 16))
    if advice := not_a_number(value):
        return advice
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
    if value in mistakes:
        return mistakes[value]
    if value != 2000:
        return f"A thousand numbers of 16 bits take 2,000 bytes (2 bytes each); you have {value}."
    if (small := answer(1000, 4)) != 500:
        return f"For 16 bits your answer is right. A thousand numbers of 4 bits take 500 bytes; you have {small}: use `bits` as given."
    if (few := answer(40, 6)) != 30:
        return f"For a thousand numbers your answer is right. Forty numbers of 6 bits take 30 bytes; you have {few}: use `n` as given."
    return None


@exercise("00.3", "Find the two mistakes: bits, and GiB", difficulty=2, minutes=6)
def exercise_00_3(answer: Callable[[int, float, float], bool]) -> str | None:
    cases = [
        (n * 1_000_000, bits, gib)
        for n, bits, gib in (
            (8_000, 16, 24),
            (12_500, 16, 24),
            (13_000, 16, 24),
            (70_000, 4, 24),
            (30_000, 4, 24),
            (1_562, 16, 24),
            (1_000, 16, 24),
            (100, 16, 24),
            (1, 16, 24),
            (7_000, 16, 12),
        )
    ]
    returned = [answered(answer(*case)) for case in cases]
    # NumPy's and PyTorch's True are True as well
    returned = [one.item() if hasattr(one, "item") else one for one in returned]
    if not all(isinstance(one, bool) for one in returned):
        return f"Answer True or False: does it fit? You returned {returned[0]!r}."
    if len(set(returned)) == 1:
        return f"You say {returned[0]} to every model and card. A million numbers of 16 bits fit into 24 GiB, 13 billion do not."

    def as_if(byte: float, unit: float) -> list[bool]:
        return [n * bits / byte <= gib * unit for n, bits, gib in cases]

    mistakes = [
        (as_if(1, 1e9), "Both mistakes are still there. What does n · bits count? And how many bytes are a GiB?"),
        (as_if(1, 2**30), "The card is right now. The need is still in bits: a byte is 8 bits."),
        (
            as_if(8, 1e9),
            "You now count bytes, which is right. The card's size is still in GB: 12.5 billion numbers in 16 bits (25.0 GB) do fit into 24 GiB.",
        ),
        (as_if(8, 2**20), "2²⁰ bytes are a MiB. A GiB is 2³⁰ bytes."),
        (as_if(1 / 8, 2**30), "You multiplied by 8. A byte is 8 bits, so divide bits by 8."),
        (
            [n * bits / 8 <= 24 * 2**30 for n, bits, _ in cases],
            "For you every card holds 24 GiB: use `card_gib` as given.",
        ),
        ([n * 16 / 8 <= gib * 2**30 for n, _, gib in cases], "For you every number has 16 bits: use `bits` as given."),
        ([not one for one in as_if(8, 2**30)], "It is the wrong way round: it fits when the need is at most the room."),
    ]
    for wrong, sentence in mistakes:
        if returned == wrong:
            return sentence
    right = as_if(8, 2**30)
    for (n, bits, gib), mine, truth in zip(cases, returned, right, strict=True):
        if mine != truth:
            return f"{n:,} numbers of {bits} bits are {n * bits / 8:,.0f} bytes, {gib} GiB are {gib * 2**30:,}: say {truth}."
    return None
