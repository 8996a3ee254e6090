"""Pictures of lesson 10: the order of rows in two programs, and each file's size against how far its logits drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from ...drawing import BLUE, GREY, ORANGE, VERMILION, label


def drift_by_size(
    files: Mapping[str, tuple[float, float]], wrong: Mapping[str, tuple[float, float]], limit: float
) -> Figure:
    """Each file's MB and its largest |Δlogit| from PEFT (log axis); `wrong` holds files that should not be shipped."""
    figure = Figure(figsize=(8.4, 4.2))
    ax = figure.subplots()
    ax.axhline(limit, color=GREY, lw=1.4, ls="--")
    largest = max(mb for mb, _ in {**files, **wrong}.values())
    label(ax, 0.45 * largest, limit, f"limit for F32: {limit:g}", GREY, xytext=(0, -10))
    for group, color, mark in ((files, BLUE, "o"), (wrong, VERMILION, "X")):
        for name, (mb, gap) in group.items():
            ax.plot([mb], [gap], mark, color=color, ms=10)
            right = mb < 0.7 * largest
            label(ax, mb, gap, name, color, xytext=(9 if right else -9, 0), ha="left" if right else "right")
    ax.set(yscale="log", xlim=(0, 1.08 * largest), xlabel="MB of the file, or of base and adapter")
    ax.set_ylabel("largest difference of a logit (log)")
    ax.set_title("What llama.cpp answers, against PEFT")
    return figure


def drift_in_words(files: Mapping[str, tuple[float, float]]) -> str:
    """What `drift_by_size` shows."""
    return " ".join(f"{name}: {mb:.0f} MB, largest difference {off:.2g}." for name, (mb, off) in files.items())


def row_order(order: Sequence[int]) -> Figure:
    """The rows of one head on the left as Hugging Face keeps them, on the right in `order`, and a line for each row."""
    figure = Figure(figsize=(7.2, 3.4))
    ax = figure.subplots()
    half = len(order) // 2
    for there, row in enumerate(order):
        color = BLUE if row < half else ORANGE
        ax.plot([0, 1], [row, there], color=color, lw=2, alpha=0.7, zorder=1)
        for x, y in ((0, row), (1, there)):
            ax.text(x, y, f"{row}", ha="center", va="center", weight="bold", color="white", zorder=3)
            ax.plot(x, y, "o", color=color, ms=17, zorder=2)
    for side, name, ha in (
        (-0.08, "Hugging Face turns\nrow i with row i + 4", "right"),
        (1.08, "llama.cpp turns\nneighbours", "left"),
    ):
        ax.text(side, (len(order) - 1) / 2, name, ha=ha, va="center")
    ax.set(xlim=(-0.75, 1.65), ylim=(len(order) - 0.4, -0.6), title="The rows of one head, in two programs")
    ax.axis("off")
    return figure


def row_order_in_words(order: Sequence[int]) -> str:
    """What `row_order` shows."""
    ours, theirs = " ".join(map(str, range(len(order)))), " ".join(map(str, order))
    return f"Hugging Face keeps the rows as {ours}, llama.cpp as {theirs}: rows that are turned together become neighbours."
