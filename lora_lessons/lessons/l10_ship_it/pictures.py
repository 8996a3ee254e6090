"""Pictures of lesson 10: the order of rows in two programs, and how far each file's logits are from PEFT's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from ...drawing import BLUE, GREY, PURPLE, VERMILION


def gaps(off: Mapping[str, float], same: Mapping[str, int], prompts: int, limit: float) -> tuple[Figure, str, str]:
    """Each file's largest |Δlogit| from PEFT and how often its likeliest token is PEFT's; the finding, and the numbers.

    What keeps `limit` is right; "no adapter" is there to compare with; every other file is wrong.
    """
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    ax = figure.subplots()
    ax.axvspan(1e-6, limit, color=BLUE, alpha=0.08, lw=0)
    for row, (name, gap) in enumerate(off.items()):
        color = BLUE if gap <= limit else GREY if name == "no adapter" else VERMILION
        ax.plot([gap], [row], "o", color=color, ms=12)
        ax.text(gap, row - 0.34, f"same token: {same[name]} of {prompts}", ha="center", fontsize=11)
    ax.text(limit / 1.3, len(off) - 0.62, f"allowed: {limit:g}", ha="right", fontsize=11, color=BLUE, weight="bold")
    ax.set(
        xscale="log", xlim=(1e-6, 1e3), ylim=(len(off) - 0.4, -0.75), xlabel="largest difference of a logit from PEFT's"
    )
    ax.set_yticks(range(len(off)), list(off), fontsize=11)
    wrong = {name for name, gap in off.items() if gap > limit} - {"no adapter"}
    title = "The words pass, the logits do not" if wrong else "Every file gives PEFT's logits"
    ax.set_title(title)
    count = "1 file is" if len(wrong) == 1 else f"{len(wrong)} files are"
    finding = (
        f"{count} far outside the limit, although the likeliest token, which is all that a text shows, "
        "is often the same."
    )
    numbers = " ".join(
        f"{name}: largest difference {gap:.2g}, same token {same[name]} of {prompts}." for name, gap in off.items()
    )
    return figure, finding, numbers


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


def row_order_in_words(order: Sequence[int]) -> str:
    """What `row_order` shows."""
    ours, theirs = " ".join(map(str, range(len(order)))), " ".join(map(str, order))
    return (
        f"Hugging Face keeps the rows as {ours}, llama.cpp as {theirs}: "
        "rows that are turned together become neighbours."
    )
