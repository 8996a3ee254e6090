"""Pictures of lesson 04: one layer under two names, gaps between the two, file sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...drawing import BLUE, GREEN, GREY, ORANGE, VERMILION, label


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


def adapter_sizes(counts: Mapping[tuple[str, str], int], ranks: Sequence[int], band: tuple[float, float]) -> Figure:
    """Adapter file size in MB (log axis), one row per choice of targets and precision, one mark per model and rank.

    `counts` holds {(model, targets): numbers at r = 1}; `band` is the page's range in MB.
    """
    figure = Figure(figsize=(7.8, 4.0))
    ax = figure.subplots()
    ax.axvspan(*band, color=GREEN, alpha=0.2, lw=0)
    rows = [(targets, width) for targets in dict.fromkeys(t for _, t in counts) for width in (2, 4)]
    models = list(dict.fromkeys(model for model, _ in counts))
    for row, (targets, width) in enumerate(rows):
        for r, color in zip(ranks, (BLUE, ORANGE, VERMILION), strict=False):
            sizes = [width * r * counts[model, targets] / 1e6 for model in models]
            for size, mark, up in zip(sizes, "o^s", (0.22, 0.0, -0.22), strict=False):  # apart, so that none hides
                ax.plot([size], [row - up], mark, color=color, ms=7, markeredgecolor="white")
            if row == 0:
                label(ax, sizes[0], row, f"r = {r}", color, xytext=(0, 17), ha="center")
    label(
        ax,
        (band[0] * band[1]) ** 0.5,
        len(rows) - 0.3,
        f"the page says {band[0]}–{band[1]} MB",
        GREEN,
        xytext=(0, 0),
        ha="center",
    )
    ax.set_yticks(range(len(rows)), [f"{targets}, {'16-bit' if width == 2 else 'fp32'}" for targets, width in rows])
    shapes = ", ".join(f"{shape} {model}" for model, shape in zip(models, "●▲■", strict=False))
    ax.set(xscale="log", ylim=(len(rows) + 0.05, -0.9), xlabel=f"MB     ({shapes})")
    ax.set_xticks(ticks := (5, 10, 20, 50, 100, 200, 500), [str(t) for t in ticks])
    ax.minorticks_off()
    ax.set_title("An adapter's file for a 7B")
    return figure
