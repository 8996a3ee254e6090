"""Lesson 05: Which rank? Which alpha?

After it, the learner can choose r and alpha on evidence.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import torch
import traitlets
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from ...course.exercises import answered, exercise, one_number, tried, wrong_if, wrong_like
from ...course.on_the_web import SCENE, kind, recorded_on
from ...course.page_half import page_half
from ...drawing import BLUE, GREY, VERMILION, WIDTH

# Imported here because they register themselves.
from . import capacity as capacity
from .capacity import bits_stored as bits_stored

if TYPE_CHECKING:
    from pandas import DataFrame

HERE = Path(__file__).parent
KNOBS = ["learning_rate", "r", "lora_alpha"]
RECIPE = {"learning_rate": 0.004, "r": 8, "lora_alpha": 16.0}  # where the recipe's first three runs lead
STILL = (
    "<p><i>The six-run game: {cards} settings of LoRA lie face down, one card for each rank, α and learning rate. Each "
    "run turns one over and shows its held-out loss, and after six the best card is held against the best of all. "
    "Run the cell to use it.</i></p>"
)


def predicted_fall(slopes: list[Tensor], lr: float) -> float:
    """The fall of the loss, in nats, when every number of B moves by `lr`, downhill; `slopes` holds each B's gradient,
    outputs × r."""
    return lr * sum(slope.abs().sum().item() for slope in slopes)


@exercise("05.2", "What a step promises", difficulty=1, minutes=5, keeps="predicted_fall")
def exercise_05_2(answer: Callable[[list[Tensor], float], Any]) -> None:
    slopes, lr = [torch.tensor([[2.0, -1.0], [0.5, 3.0]]), torch.tensor([[-5.0], [1.5], [2.0]])], 0.01
    lists = "PyTorch or Python stopped ({}). `slopes` is a list of tensors: go through it, and add up what each gives."
    got = tried(lambda: answered(answer([one.clone() for one in slopes], lr)), ((TypeError, AttributeError), "", lists))
    value = one_number(got.item() if isinstance(got, Tensor) and got.numel() == 1 else got)
    every, right = torch.cat([one.flatten() for one in slopes]), predicted_fall(slopes, lr)
    turns = "An answer below 0 says that the loss rises. Every number moves downhill, so each adds to the fall."
    wrong_like(
        value,
        (-right, turns),
        (lr * sum(one.sum().abs() for one in slopes), "You took abs() of the sum, where slopes had cancelled. First "
         "abs(), then sum()."),
        (lr * every.sum(), "Slopes up and down cancel in your sum. Each number moves down its own slope: take abs()."),
        (-lr * every.sum(), "Slopes up and down cancel in your sum. Each number moves down its own slope: take abs()."),
        (right / lr, "That is the fall for a step of 1. Each number moves by `lr`: multiply."),
        (lr * every.square().sum(), "You squared the slopes: that is plain gradient descent, whose step is lr times "
         "the slope. AdamW's first step is `lr`, whatever the slope."),
        (lr * len(every), "That is how far all numbers move together. Where the slope is steep, the loss falls more."),
        (lr * every.norm(), "That is the gradient's length. The falls add up number by number: abs(), then sum()."),
        (lr * every.abs().mean(), "That is the mean fall of a number. Every number moves at once: add up."),
        (lr * sum(one.abs().mean() for one in slopes), "You took each tensor's mean. Every number moves: add them up."),
        (lr * slopes[0].abs().sum(), "You counted the first tensor alone. Go through the whole list."),
        (lr * slopes[-1].abs().sum(), "You counted the last tensor alone. Add up over the whole list."),
    )  # fmt: skip
    other = f"For these seven slopes the loss falls by {right:g} nats, and you return {value:g}: the sum of |slope|·lr."
    wrong_if((not math.isclose(value, right, rel_tol=1e-4), other))
    again, twice = [torch.ones(2, 3)], "Right for one list and wrong for another: use `slopes` and `lr` as given."
    wrong_if((not math.isclose(float(answer(again, 0.5)), 3, rel_tol=1e-4), twice))


class SixRuns(anywidget.AnyWidget):
    """Cards, each with the losses of its seeds; the page turns them over, and keeps in `runs` what was spent."""

    _esm = page_half(HERE / "six_runs.js")
    _css = page_half(HERE / "six_runs.css")
    cards: Any = traitlets.List().tag(sync=True)  # [{"learning_rate", "r", "lora_alpha", "losses": one a seed}, …]
    recipe = traitlets.Int().tag(sync=True)  # the number of the recipe's card
    budget = traitlets.Int(6).tag(sync=True)
    runs: Any = traitlets.List().tag(sync=True)  # the number of the card that each run was spent on

    def __init__(self, cards: list[dict[str, Any]], recipe: int, note: str) -> None:
        super().__init__(cards=cards, recipe=recipe)
        self.note = note

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            state = {name: getattr(self, name) for name in ("cards", "recipe", "budget")} | {"runs": []}
            bundle[0]["text/html"] = STILL.format(cards=len(self.cards))
            bundle[0][SCENE] = {
                "name": "six_runs",
                "kind": "six_runs",
                "note": self.note,
                "state": state,
                "answers": {},
            }
        return bundle


def six_runs(runs: DataFrame) -> SixRuns:
    """The game over `runs`, a row a training run.

    Raises ValueError where the recipe's own setting is not among them.
    """
    cards = []
    for knobs, of_seeds in runs.sort_values("seed").groupby(KNOBS):
        setting = dict(zip(KNOBS, map(float, knobs), strict=True))
        cards.append({**setting, "losses": of_seeds.loss_held_out.tolist()})
    found = [n for n, card in enumerate(cards) if RECIPE.items() <= card.items()]
    if not found:
        raise ValueError(f"the game needs the recipe's own setting, {RECIPE}, among the runs.")
    made = {key: ", ".join(runs.attrs[key]) for key in ("machine", "date")}
    return SixRuns(cards, found[0], f"{recorded_on(made)} The game is played in this page.")


kind("six_runs", HERE / "six_runs.js", HERE / "six_runs.css")


def three_knobs(d: int = 576, narrow: int = 8, wide: int = 64) -> tuple[Figure, str]:
    """What each knob does: the rank widens B and A (d×d, to scale), α/r multiplies their product,
    the rate lengthens a step."""
    figure = Figure(figsize=(WIDTH, 2.7))
    left, middle, right = figure.subplots(1, 3)
    gap = 0.05 * d
    left.add_patch(Rectangle((0, 0), d, d, facecolor="#eceef0", edgecolor=GREY))
    for r, fill in ((wide, "white"), (narrow, BLUE)):
        for corner, width, height in (((-gap - r, 0), r, d), ((0, d + gap), d, r)):
            left.add_patch(
                Rectangle(corner, width, height, facecolor=fill, edgecolor=BLUE, ls="-" if r == narrow else "--")
            )
    left.text(d / 2, d / 2, "W is frozen", ha="center", va="center")
    left.set(xlim=(-gap - 1.3 * wide, 1.05 * d), ylim=(-0.02 * d, d + gap + 1.3 * wide))
    for row, (name, scale) in enumerate({"α = r/2": 0.5, "α = r": 1.0, "α = 2r": 2.0}.items()):
        middle.barh(row, scale, color=BLUE, height=0.55)
        middle.text(scale + 0.06, row, f"{scale:g} × B·A", va="center", size=10.5)
        middle.text(-0.06, row, name, va="center", ha="right", size=10.5)
    middle.set(xlim=(-1.1, 3.4), ylim=(2.6, -0.6))
    axis = [n / 20 - 0.4 for n in range(56)]
    losses = [[(b * a - 1) ** 2 for a in axis] for b in axis]
    right.contour(axis, axis, losses, levels=[0.1, 0.5, 1.5], colors="#b8bdc2", linewidths=1)
    valley = [n / 20 for n in range(9, 48)]
    right.plot(valley, [1 / a for a in valley], "--", color="black", lw=1.4)
    for rate, steps, color in ((0.15, 14, BLUE), (1.2, 2, VERMILION)):
        path = [(0.5, 0.0)]
        for _ in range(steps):
            a, b = path[-1]
            off = 2 * (b * a - 1)
            path.append((a - rate * off * b, b - rate * off * a))
        right.plot([a for a, _ in path], [b for _, b in path], "o-", color=color, ms=4, lw=1.6)
    right.text(0.72, 2.1, "valley", size=10.5, va="center", bbox={"color": "white", "pad": 1})
    right.set(xlim=(-0.4, 2.4), ylim=(-0.4, 2.4))
    for ax in (left, right):
        ax.set_aspect("equal", anchor="N")
    for ax, title in ((left, "r: how wide"), (middle, "α/r: how strong"), (right, "rate: how far")):
        ax.set_title(title, size=12)
        ax.axis("off")
    return figure, (
        f"three knobs. The rank is the width of B and A beside W, here {narrow}, dashed {wide}. α/r multiplies what "
        "comes out of B and A. The learning rate is the length of a step on lesson 02's map: short steps walk down, "
        "long ones jump over the valley."
    )
