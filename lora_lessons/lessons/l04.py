"""Lesson 04: Is the library doing the same thing?

After it, the learner can use PEFT, and catch its silent mistakes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from ..course.exercises import answered, exercise, wrong_if
from ..drawing import BLUE, GREY, WIDTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Each part: its middle and its width; its sign; its name in our code and in PEFT's; the colour of its edge.
PARTS = [
    (4.0, 2.5, 5.6, "W", "base_layer.weight", "base_layer.weight", GREY),
    (2.4, 0.5, 3.0, "A", "lora_A", 'lora_A["default"]', BLUE),
    (5.7, 0.5, 3.0, "B", "lora_B", 'lora_B["default"]', BLUE),
    (9.0, 0.5, 3.0, "α/r", "scaling", 'scaling["default"]', BLUE),
]
# from x up and down to the boxes, from box to box, and on to the sum
ARROWS = [(0.2, 1.5, 1.1, 2.5), (0.2, 1.5, 0.8, 0.5), (3.9, 0.5, 4.2, 0.5), (7.2, 0.5, 7.5, 0.5)]
ARROWS += [(6.8, 2.5, 11.2, 1.6), (10.5, 0.5, 11.2, 1.4)]


def two_names() -> tuple[Figure, str]:
    """A LoRA layer as boxes, each with its name in our code and, below it, in PEFT's. And its words."""
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch, Rectangle

    figure = Figure(figsize=(WIDTH, 2.9))
    ax = figure.subplots()
    for x0, y0, x, y in ARROWS:
        ax.add_patch(FancyArrowPatch((x0, y0), (x, y), arrowstyle="-|>", mutation_scale=12, color=GREY))
    for x, y, width, part, ours, peft, edge in PARTS:
        ax.add_patch(Rectangle((x - width / 2, y - 0.5), width, 1, facecolor="white", edgecolor=edge, lw=2))
        ax.text(x, y + 0.72, part, color=edge, ha="center", va="center", size=13, weight="bold")
        ax.text(x, y + 0.2, ours, ha="center", va="center", size=10.5, weight="bold")
        ax.text(x, y - 0.22, peft, ha="center", va="center", size=10.5, style="italic", color=GREY)
    for x, sign in ((0.0, "x"), (11.45, "+ h")):
        ax.text(x, 1.5, sign, ha="center", va="center", size=14, weight="bold")
    ax.set(xlim=(-0.3, 12), ylim=(-0.2, 3.6), title="One layer: our names (bold) and PEFT's (italic)")
    ax.axis("off")
    named = "; ".join(f"{part} is {ours} in ours and {peft} in PEFT's" for *_, part, ours, peft, _ in PARTS)
    return figure, f"one LoRA layer under two sets of names. {named}. Do the same boxes compute the same numbers?"


@exercise("04.1", "Find the mistake: an adapter that loads as absent", difficulty=2, minutes=8)
def exercise_04_1(answer: Callable[[list[str], list[str]], list[str]]) -> None:
    layers = [f"base_model.model.model.layers.{i}.self_attn.{p}" for i in (0, 1) for p in ("q_proj", "v_proj")]
    parts = ("lora_A", "lora_B")
    places = [f"{layer}.base_layer.weight" for layer in layers]
    places += [f"{layer}.{part}.default.weight" for layer in layers for part in parts]
    healthy = [f"{layer}.{part}.weight" for layer in layers for part in parts]
    wrapped = ["module." + key for key in healthy]

    value = answered(answer(list(wrapped), list(places)))
    wrong_if(
        (
            isinstance(value, str) or not isinstance(value, Collection),
            f"Return the keys themselves, as a list; you returned {value!r}.",
        )
    )
    wrong_if(
        (
            set(value) & set(places),
            "You return names of the model. Return the keys of the file that found no place in it.",
        ),
        (
            not value,
            "Your function takes `module.base_model…` for `base_model…`. A key must match whole: "
            "that difference was the colleague's bug.",
        ),
        (
            set(value) != set(wrapped),
            f"All {len(wrapped)} keys that begin with `module.` are lost. You return {len(value)}, "
            "or under other names.",
        ),
    )
    value = answer(list(healthy), list(places))
    wrong_if(
        (
            set(value) == set(healthy),
            "You call a healthy file lost. Where it says `lora_A.weight`, the model says `lora_A.default.weight`.",
        ),
        (value, f"This file is healthy, and you return {len(value)} of its keys."),
    )
    bare = [key.removeprefix("base_model.model.") for key in healthy]
    ends = "A key that is only the end of a model's name has no place in the model: compare whole keys."
    wrong_if((set(answer(list(bare), list(places))) != set(bare), ends))
    one = healthy[:3] + [healthy[3].replace("v_proj", "v_prj")] + healthy[4:]
    value = answer(one[::-1], list(places))
    wrong_if(
        (
            set(value) != {one[3]},
            f"With one misspelt key among {len(one)}, exactly that one is lost, in whatever order they come; "
            f"you return {len(value)}.",
        )
    )
