"""The picture of lesson 04: one layer under two names."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...drawing import BLUE, GREY, VERMILION


def two_names(names: Mapping[str, tuple[str, str]]) -> tuple[Figure, str]:
    """The LoRA layer as boxes, each under its name in our code and in PEFT's. And its words.

    `names` holds {"W" | "A" | "B" | "scale": (ours, PEFT's)}.
    """
    figure = Figure(figsize=(7.0, 3.2))
    ax = figure.subplots()
    places = {"W": (3.7, 2.5, 5.6), "A": (2.3, 0.5, 2.8), "B": (5.3, 0.5, 2.8), "scale": (8.5, 0.5, 3.2)}
    arrow = {"color": GREY, "lw": 1.6, "shrinkA": 0, "shrinkB": 0}
    split, join, up, down = 0.3, 10.6, 2.5, 0.5
    lines = [(split, 1.5, split, up), (split, 1.5, split, down), (6.5, up, join, up), (10.1, down, join, down)]
    arrows = [(split, up, 0.9, up), (split, down, 0.9, down), (3.7, down, 3.9, down), (6.7, down, 6.9, down)]
    arrows += [(join, up, join, 1.75), (join, down, join, 1.25)]
    for (x0, y0, x, y), style in [(line, "-") for line in lines] + [(line, "-|>") for line in arrows]:
        ax.annotate("", (x, y), (x0, y0), arrowprops=arrow | {"arrowstyle": style})
    for part, (x, y, width) in places.items():
        frozen = part == "W"
        box = Rectangle(
            (x - width / 2, y - 0.48), width, 0.96, facecolor="#e4e6e8" if frozen else "#fdf3dc", edgecolor=GREY
        )
        ax.add_patch(box)
        ax.text(x - width / 2 + 0.1, y, {"scale": "α/r"}.get(part, part), size=13, weight="bold", va="center")
        ours, theirs = names[part]
        middle = x + (0.35 if part == "scale" else 0.2)
        ax.text(middle, y + 0.2, ours, color=BLUE, ha="center", va="center", weight="bold", size=10)
        ax.text(middle, y - 0.2, theirs, color=VERMILION, ha="center", va="center", weight="bold", size=10)
    ax.text(0.15, 1.5, "x", ha="right", va="center", size=14, weight="bold")
    ax.text(10.6, 1.5, "+", ha="center", va="center", size=18, weight="bold")
    ax.text(10.9, 1.5, "h", ha="left", va="center", size=14, weight="bold")
    ax.text(1.0, 3.4, "in our code", color=BLUE, weight="bold")
    ax.text(3.9, 3.4, "in PEFT's", color=VERMILION, weight="bold")
    ax.set(xlim=(-0.2, 11.3), ylim=(-0.2, 3.8))
    ax.axis("off")
    pairs = "; ".join(f"{part} is {ours} in ours and {theirs} in PEFT's" for part, (ours, theirs) in names.items())
    return figure, f"one LoRA layer, two sets of names. {pairs}. Do the same boxes hold and compute the same numbers?"
