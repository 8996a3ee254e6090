"""Exercises of lesson 13: reduce-scatter, and how many cards it takes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ...course.exercises import answered, exercise, not_a_number


@exercise("13.1", "Reduce-scatter", difficulty=2, minutes=6)
def exercise_13_1(reduce_scatter: Callable[[list[Tensor]], list[Tensor]]) -> str | None:
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(4, 6, generator=generator) for _ in range(2)]
    got = answered(reduce_scatter([g.clone() for g in gradients]))
    if not isinstance(got, (list, tuple)) or not all(isinstance(part, Tensor) for part in got):
        return "Return a list with a tensor for each rank: what that rank keeps."
    if len(got) != 2:
        return f"There are two ranks here, so the list has two tensors; yours has {len(got)}."
    total = torch.stack(gradients).sum(0)

    def is_(parts: tuple[Tensor, ...] | list[Tensor]) -> bool:
        return all(a.shape == b.shape and torch.allclose(a, b, atol=1e-5) for a, b in zip(got, parts, strict=True))

    if is_(total.chunk(2)):
        three = [torch.randn(6, 5, generator=generator) for _ in range(3)]
        again = reduce_scatter([g.clone() for g in three])
        right = torch.stack(three).sum(0).chunk(3)
        same = len(again) == 3 and all(
            a.shape == b.shape and torch.allclose(a, b, atol=1e-5) for a, b in zip(again, right, strict=True)
        )
        return None if same else "Right for two ranks, and wrong for three: cut into as many parts as there are ranks."
    mean = total / 2
    for wrong, advice in (
        ([total, total], "That is an all-reduce: every rank keeps the whole sum. Give each rank its part of it."),
        (mean.chunk(2), "Those are parts of the mean. Here the ranks' gradients are summed."),
        (
            [gradients[0].chunk(2)[0], gradients[1].chunk(2)[1]],
            "Each rank keeps a part of its own gradient, so what the others found is lost. Sum first, then cut.",
        ),
        (gradients[0].chunk(2), "Those are the parts of rank 0's gradient: the other rank's text has no say."),
        (total.chunk(2, dim=1), "The sum is right, cut along its columns: FSDP cuts along the rows (dim=0)."),
        (total.chunk(2)[::-1], "The parts are right and swapped: rank 0 keeps the first rows."),
        (gradients, "Those are the gradients as they came: neither summed nor cut."),
    ):
        if is_(list(wrong)):
            return advice
    return "Sum the gradients of all ranks, and give each rank as many rows of the sum as every other, in order."


@exercise("13.3", "How many cards?", difficulty=2, minutes=5)
def exercise_13_3(cards: Callable[[float, float, float], int]) -> str | None:
    got = answered(cards(45.8e9, 14.0e9, 25.8e9))
    if advice := not_a_number(got):
        return advice
    if got == 4:
        if cards(40e9, 5e9, 25e9) != 2:
            return (
                "Right here, but 40 GB over two cards are 20 GB each, and beside 5 GB they fill 25 exactly: "
                "two are enough."
            )
        if cards(39e9, 26e9, 25.8e9) != 0:
            return "Right here, but when what every card holds does not fit, no number of cards helps: return 0."
        return None
    for wrong, advice in (
        (
            3,
            "With three cards each holds 45.8 / 3 + 14 = 29.3 GB, and its room is 25.8. The 14 GB are not divided: "
            "they come off every card's room first. Then round up, because a part of a card cannot be bought.",
        ),
        (45.8 / 11.8, "Nearly: a part of a card cannot be bought. Round up."),
        (2, "The other 14 GB must fit beside the shards, on every card: they take their room first."),
    ):
        if math.isclose(got, wrong, rel_tol=1e-6):
            return advice
    return f"45.8 GB to share, 14 GB on every card, 25.8 GB of room: four cards; you gave {got:g}."
