"""Lesson 11: GGUF, GPTQ, AWQ or EXL2?

After it, the learner can choose a format and export to it.
"""

# Q4_0, for a learner who has none of their own yet; then what judges the exercises of the lesson and its side trip.

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..course.exercises import answered, exercise


def q4_0(W: Tensor) -> Tensor:
    """W as llama.cpp's Q4_0 keeps it, up to 16 bits of its step: marks −8 … 7 in blocks of 32,
    the largest weight on −8."""
    blocks = W.reshape(-1, 32)
    step = blocks.gather(1, blocks.abs().argmax(1, keepdim=True)) / -8
    step = step.where(step != 0, torch.ones_like(step))  # a block of zeros
    return ((blocks / step).round().clamp(-8, 7) * step).view_as(W)


@exercise("11.4", "Q4_0 by hand", difficulty=2, minutes=8, keeps="q4_0")
def exercise_11_4(by_hand: Callable[[Tensor], Tensor]) -> str | None:
    W = torch.randn(3, 64, generator=torch.Generator().manual_seed(11))
    W[0, 3], W[0, 9], W[0, 40], W[1, 5] = 4.0, -3.95, -5.0, 3.5
    got = answered(by_hand(W.clone()))
    if not isinstance(got, Tensor):
        return f"Return a tensor of weights; you returned a {type(got).__name__}."
    if got.shape != W.shape:
        return f"Give the weights W's shape back, with .view_as(W). Yours have the shape {tuple(got.shape)}."
    if torch.allclose(got, q4_0(W), atol=1e-5):
        return None

    def marked(largest: Tensor, parts: float = -8, low: float = -8, high: float = 7) -> Tensor:
        rows, step = W.reshape(len(largest), -1), largest / parts
        return ((rows / step).round().clamp(low, high) * step).view_as(W)

    def largest_of(rows: Tensor) -> Tensor:
        return rows.gather(1, rows.abs().argmax(1, keepdim=True))

    blocks = W.reshape(-1, 32)
    right, absmax = largest_of(blocks), blocks.abs().amax(1, keepdim=True)
    for wrong, advice in (
        (W, "Nothing is rounded: divide by the step, then .round()."),
        (marked(absmax, 7, -7), (
            "Those are int4's 15 marks, from lesson 06. Q4_0 has a 16th, −8, and the largest weight lies on it: "
            "largest / -8."
        )),
        (marked(absmax, 8), (
            "With a step from the absmax, a largest weight that is positive would need the mark 8, which is not there. "
            "Keep the weight's sign: largest / -8."
        )),
        (marked(right, 8), "That puts the largest weight on 8, which is no mark. The step is largest / -8."),
        (marked(absmax, -8), (
            "That step is always negative. The largest weight then lies on −8 only where it is positive: keep its sign."
        )),
        (marked(blocks.amax(1, keepdim=True)), (
            "−5 is the largest of its block by *absolute* value: take .abs() before .argmax(1)."
        )),
        (marked(right, high=8), (
            "A weight nearly as large with the other sign lands on 8, and the last mark is 7: .clamp(-8, 7)."
        )),
        (marked(largest_of(W.reshape(-1, 64))), "Those blocks have 64 weights. Q4_0's have 32."),
        ((blocks / (right / -8)).round().clamp(-8, 7).view_as(W), (
            "Those are the marks, −8 … 7. Go back to weights: times the step."
        )),
        (((blocks / (right / -8)).floor().clamp(-8, 7) * (right / -8)).view_as(W), (
            "You took the mark below; .round() takes the nearest."
        )),
        (((blocks / (right / -8)).trunc().clamp(-8, 7) * (right / -8)).view_as(W), (
            "You cut the fraction off; .round() takes the nearest mark."
        )),
    ):  # fmt: skip
        if torch.allclose(got, wrong, atol=1e-5):
            return advice
    return "These are not the nearest of the marks −8 … 7, block by block, with the largest weight of each block on −8."


@exercise("11.1", "What a column leaves to the others", difficulty=2, minutes=8)
def exercise_11_1(pass_on: Callable[[Tensor, Tensor, int, float], Tensor]) -> str | None:
    torch.manual_seed(0)
    X, w = torch.randn(50, 6) + torch.randn(50, 1), torch.randn(6)
    inverse = torch.linalg.inv(2 * X.T @ X)
    kept = w.clone()
    got = answered(pass_on(w, inverse, 0, 0.5))
    if not isinstance(got, Tensor) or got.shape != kept.shape:
        return f"Return the whole row, {len(kept)} weights, as a tensor."
    error = kept[0] - 0.5
    right = kept - error / inverse[0, 0] * inverse[0]
    if torch.allclose(got, right, atol=1e-5):
        other = pass_on(kept.clone(), inverse, 3, 0.5)
        wanted = kept - (kept[3] - 0.5) / inverse[3, 3] * inverse[3]
        later = torch.cat([kept[:3], wanted[3:]])
        if torch.allclose(other, later, atol=1e-5):
            return (
                "You moved only the later weights. Here H⁻¹ still holds all columns, so all of them move; in "
                "`by_hand`, those already rounded have dropped out of it."
            )
        return (
            None
            if torch.allclose(other, wanted, atol=1e-5)
            else "That is right for column 0 but wrong for column 3: use i."
        )
    for wrong, advice in (
        (
            kept + error / inverse[0, 0] * inverse[0],
            "The sign is turned: after the step, weight i must be the rounded one.",
        ),
        (
            kept - error * inverse[0],
            "Divide by inverse[i, i]: after the step weight i must be exactly the rounded one.",
        ),
        (kept - error / inverse[0, 0] * inverse, "Take one row of H⁻¹, the row of column i."),
        (
            torch.cat([kept[:1] * 0 + 0.5, kept[1:]]),
            "That is round-to-nearest: the other weights have not moved to make up for the error.",
        ),
    ):
        if got.shape == wrong.shape and torch.allclose(got, wrong, atol=1e-5):
            return advice
    if not torch.isclose(got[0], torch.tensor(0.5), atol=1e-5):
        return f"Weight i should now be the rounded one, 0.5; it is {got[0]:.3f}."
    return (
        "Weight i is right, but the others are not: each moves by error / inverse[i, "
        "i] times its number in row i of H⁻¹."
    )


@exercise("11.2", "Enlarge, round, shrink", difficulty=1, minutes=5)
def exercise_11_2(scaled: Callable[[Tensor, Tensor, Callable[[Tensor], Tensor]], Tensor]) -> str | None:
    torch.manual_seed(0)
    W, s = 5 * torch.randn(4, 4), torch.tensor([1.0, 4.0, 0.5, 3.0])
    try:
        got = answered(scaled(W.clone(), s, torch.round))
    except RuntimeError:
        return "The shapes do not fit: s has one number for each column, and W * s multiplies column j by s[j]."
    if not isinstance(got, Tensor) or got.shape != W.shape:
        return "Return the rounded weight, a tensor of W's shape."
    if torch.allclose(got, (W * s).round() / s):
        quarters = scaled(W.clone(), s, lambda x: (4 * x).round() / 4)
        if torch.allclose(quarters, (4 * W * s).round() / 4 / s):
            return None
        return "Right for whole numbers. Another `nearest` rounds to other marks: call it, and round in no other way."
    for wrong, advice in (
        ((W * s).round(), "Divide by s again: the layer must still compute W·x."),
        (W.round(), "That is round-to-nearest: the columns must be enlarged before they are rounded."),
        (
            (W / s).round() * s,
            "Turned round: a loud input (large s) needs finer rounding, so its column is multiplied by s first.",
        ),
        ((W * s[:, None]).round() / s[:, None], "Those are rows, but the inputs that a layer reads meet W's columns."),
        (W, "Nothing has been rounded yet: call `nearest` in between."),
    ):
        if torch.allclose(got, wrong):
            return advice
    return "Multiply the columns by s, call `nearest`, then divide by s, in this order, and do nothing else."


@exercise("11.3", "Has the ruler seen the test?", difficulty=2, minutes=8)
def exercise_11_3(leaks: Callable[[str, str, int], bool]) -> str | None:
    passage = "one two three four five six"
    apart = answered(leaks("the cat sat on the mat today", "a dog sat on the rug", 4))
    if not isinstance(apart, bool):
        return f"Return True or False; you returned a {type(apart).__name__}."
    if apart:
        return (
            "“the cat sat on the mat today” and “a dog sat on the rug” share three words in a row at most: "
            "with n = 4 that is no leak."
        )
    if not leaks("x y z " + passage + " w", passage + " u v", 6):
        return "A passage may stand in the middle of both texts, so compare all runs of n words, not whole texts."
    if not leaks("a b c d", "z b c d", 3):
        return "The last run is missing: a text has len(words) - n + 1 runs of n words."
    if leaks("a b c d", "d c b a", 2):
        return "The order of the words counts, because a run is n words in a row, not a set of words."
    if leaks("a b", "a b", 3):
        return "A text of fewer than n words has no run of n words."
    if leaks("one two three", "done twofold three", 2) or leaks("art is long", "part is long", 3):
        return "Whole words, please: “art is long” is not a part of “part is long”. Split both texts."
    if not leaks("one\ntwo  three", "one two three", 3):
        return "Line breaks and double spaces are no difference: split() takes care of them."
    return None
