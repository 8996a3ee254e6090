"""Lesson 10: Does it still work outside Python?

After it, the learner can ship an adapter to llama.cpp and Ollama.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..course.exercises import answered, exercise, not_a_number
from ..drawing import BLUE, PURPLE


def row_order(order: Sequence[int]) -> Figure:
    """The rows of one head on the left as Hugging Face keeps them, on the right in `order`, and a line for each row."""
    figure = Figure(figsize=(7.2, 3.4))
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
    got = answered(alpha_in_file(rs))
    if advice := not_a_number(got):
        return advice
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
