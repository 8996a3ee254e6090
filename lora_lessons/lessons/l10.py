"""Lesson 10: Does it still work outside Python?

After it, the learner can ship an adapter to llama.cpp and Ollama, and choose a format.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..course.exercises import answered, exercise, one_number
from ..drawing import BLUE, PURPLE, WIDTH


def row_order(order: Sequence[int]) -> Figure:
    """The rows of one head on the left as Hugging Face keeps them, on the right in `order`, and a line for each row."""
    figure = Figure(figsize=(WIDTH, 3.4))
    ax = figure.subplots()
    half = len(order) // 2
    for there, row in enumerate(order):
        color = BLUE if row < half else PURPLE
        ax.plot([0, 1], [row, there], color=color, lw=2, alpha=0.7, zorder=1)
        for x, y in ((0, row), (1, there)):
            ax.text(x, y, f"{row}", ha="center", va="center", weight="bold", color="white", zorder=3)
            ax.plot(x, y, "o", color=color, ms=17, zorder=2)
    for side, name, ha in (
        (-0.08, "Hugging Face turns\nrow i with row i + 4", "right"),
        (1.08, "llama.cpp turns\nneighbours", "left"),
    ):
        ax.text(side, (len(order) - 1) / 2, name, ha=ha, va="center")
    ax.set(xlim=(-0.75, 1.65), ylim=(len(order) - 0.4, -0.6), title="llama.cpp wants paired rows side by side")
    ax.axis("off")
    return figure


@exercise("10.1", "Rows in llama.cpp's order", difficulty=2, minutes=8)
def exercise_10_1(in_pairs: Callable[[Tensor, int], Tensor]) -> str | None:
    rows = torch.arange(12.0)[:, None] * torch.tensor([1.0, 100.0])  # 12×2: two heads of six rows
    right = [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]
    got = answered(in_pairs(rows.clone(), 2))
    if not isinstance(got, Tensor):
        return f"Return a tensor; you returned a {type(got).__name__}."
    if got.shape != rows.shape:
        return (
            f"The shape must stay {tuple(rows.shape)}, because rows move and none is lost. You gave {tuple(got.shape)}."
        )
    if not torch.equal(got[:, 1], 100 * got[:, 0]):
        return "Rows were torn apart. A row moves as a whole, with all its columns."
    order = [int(i) for i in got[:, 0].tolist()]
    if order == right:
        one = in_pairs(torch.arange(4.0)[:, None], 1)[:, 0].tolist()
        return (
            None
            if one == [0, 2, 1, 3]
            else f"That is right for two heads, but one head of 4 rows became {one}: use `heads`."
        )
    if order == list(range(12)):
        return "Nothing moved: this is still Hugging Face's order."
    if order == [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]:
        return "You paired rows across heads, but each head keeps to itself. Split the rows into heads first."
    if order == [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]:
        return (
            "That is the way back, from llama.cpp's order to Hugging Face's. Split each head into two halves, "
            "not into pairs."
        )
    return f"Two heads of six rows should become {right}; yours are {order}."


@exercise("10.2", "The alpha of an rsLoRA adapter", difficulty=1, minutes=4)
def exercise_10_2(alpha_in_file: Callable[[Mapping[str, Any]], float]) -> str | None:
    rs, plain = {"r": 16, "lora_alpha": 8, "use_rslora": True}, {"r": 16, "lora_alpha": 8, "use_rslora": False}
    got = one_number(alpha_in_file(rs))
    for wrong, advice in (
        (8.0, "llama.cpp divides by r = 16 and gets 0.5; the adapter was trained with 8/√16 = 2, √r times as strong."),
        (
            2.0,
            (
                "That is the scale itself, and llama.cpp will divide it by r once more. "
                "Write the number that is 2 afterwards."
            ),
        ),
        (0.5, "That is α/r, which llama.cpp works out by itself and would divide by r again."),
        (128.0, "Only √r is missing, not r: 128/16 is 8, α itself, and the adapter was trained with 2."),
    ):
        if math.isclose(got, wrong, rel_tol=1e-6):
            return advice
    if not math.isclose(got, 32.0, rel_tol=1e-6):
        return f"llama.cpp would scale by {got:.4g}/16 = {got / 16:.4g}; the adapter was trained with 8/√16 = 2."
    if not math.isclose(other := alpha_in_file(plain), 8.0):
        return (
            "Right for rsLoRA. Without it both programs divide by r, so alpha stays 8; "
            f"with your {other:.4g} it is √r times too strong."
        )
    if not math.isclose(alpha_in_file(rs | {"r": 64, "lora_alpha": 16}), 128.0):
        return "That is right for r = 16 but wrong for r = 64: use √r, not 4."
    if not math.isclose(other := alpha_in_file(plain | {"r": 64, "lora_alpha": 16}), 16.0):
        return f"Without rsLoRA alpha stays as it is, 16 here; you gave {other:.4g}."
    try:
        older = alpha_in_file({"r": 16, "lora_alpha": 8})
    except KeyError:
        return "Right, but an older file may have no use_rslora: read it with config.get(…)."
    return None if math.isclose(older, 8.0) else "A file without use_rslora is plain LoRA: alpha stays as it is."


@exercise("10.3", "A net that text cannot slip through", difficulty=2, minutes=6)
def exercise_10_3(bad_prompts: Callable[[Tensor, Tensor, float], list[int]]) -> str | None:
    torch.manual_seed(0)
    python = torch.randn(6, 50)
    python[:, 7] += 20.0  # token 7 wins everywhere, whatever else is wrong
    other = python + 1e-5 * torch.randn(6, 50)
    other[1, 30] -= 5.0  # one logit far too low
    other[3] += 0.002 * (torch.arange(50) % 2 * 2 - 1)  # small, everywhere, adding up to nothing
    other[4, 2] = torch.nan
    other[5, 9] += 0.01  # one of many, by a little: a mean of sizes hides it
    got = answered(bad_prompts(python.clone(), other.clone(), 1e-3))
    if isinstance(got, Tensor):
        got = got.tolist()
    if not isinstance(got, (list, tuple, set)):
        return f"Return a list of row numbers; you returned a {type(got).__name__}."
    flagged = sorted(int(i) for i in got)
    if flagged == [1, 3, 4, 5]:
        if list(bad_prompts(python.clone(), python + 5e-4, 1e-3)):
            return "That is right here, but rows that differ by 0.0005 are fine at limit 0.001: use `limit`."
        if len(list(bad_prompts(python.clone(), python + 5e-4, 1e-4))) < 6:
            return "That is right here, but rows that differ by 0.0005 are bad at limit 0.0001: use `limit`."
        return None
    if flagged in ([], [4]):  # a NaN counts as the largest
        return (
            "The wrong rows passed. The winning token is the same in every row, as it was for the colleague: "
            "compare all logits."
        )
    if flagged == [0, 2]:
        return "Turned round: those are the rows that agree."
    if flagged == [0, 1, 2, 3, 4, 5]:
        return "You flagged every row, even those that differ by rounding alone: allow `limit`."
    if 4 not in flagged and 3 in flagged and 1 in flagged:
        return (
            "Row 4 holds a NaN and passed: a comparison with NaN is always False. Ask whether it is within the limit, "
            "and negate."
        )
    if 1 not in flagged:
        return "Row 1 passed, where one logit is 5 too low: take the absolute difference."
    if 3 not in flagged:
        return "Row 3 passed: small differences up and down cancel in a mean. Take the largest difference."
    if 5 not in flagged:
        return "Row 5 passed: one logit of it is off by 0.01, and a mean over all of them hides that. Take the largest."
    return f"Rows 1, 3, 4 and 5 are bad; you gave {flagged}."


def q4_0(W: Tensor) -> Tensor:
    """W as llama.cpp's Q4_0 keeps it, up to 16 bits of its step: marks −8 … 7 in blocks of 32,
    the largest weight on −8. For a learner who has none of their own yet."""
    blocks = W.reshape(-1, 32)
    step = blocks.gather(1, blocks.abs().argmax(1, keepdim=True)) / -8
    step = step.where(step != 0, torch.ones_like(step))  # a block of zeros
    return ((blocks / step).round().clamp(-8, 7) * step).view_as(W)


@exercise("10.4", "Q4_0 by hand", difficulty=2, minutes=8, keeps="q4_0")
def exercise_10_4(by_hand: Callable[[Tensor], Tensor]) -> str | None:
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


# Those of the side trip to GPTQ and AWQ.


@exercise("10.5", "What a column leaves to the others", difficulty=2, minutes=8)
def exercise_10_5(pass_on: Callable[[Tensor, Tensor, int, float], Tensor]) -> str | None:
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


@exercise("10.6", "Enlarge, round, shrink", difficulty=1, minutes=5)
def exercise_10_6(scaled: Callable[[Tensor, Tensor, Callable[[Tensor], Tensor]], Tensor]) -> str | None:
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


@exercise("10.7", "Has the ruler seen the test?", difficulty=2, minutes=8)
def exercise_10_7(leaks: Callable[[str, str, int], bool]) -> str | None:
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
