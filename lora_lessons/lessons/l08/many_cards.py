"""The side trip deeper/08_many_cards: And 70B?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...drawing import BLUE, GREY, ORANGE, WIDTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STATIONS = (
    ("at rest", "each rank\nkeeps half"),
    ("all-gather", "the halves\ntravel"),
    ("use", "whole block,\nown text"),
    ("free", "half again"),
    ("reduce-\nscatter", "gradients\nof A and B"),
)
RANK_COLORS = (BLUE, ORANGE)


def journey() -> tuple[Figure, str]:
    """One block of the model on two ranks, at five stations of a training step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 3.8))
    ax: Any = figure.subplots()
    for x, (name, about) in enumerate(STATIONS):
        ax.text(x + 0.4, 2.82, f"{x + 1} {name}", ha="center", va="top", weight="bold", size=11)
        ax.text(x + 0.4, 2.06, about, ha="center", va="bottom", size=10.5)
        last = x == len(STATIONS) - 1
        for rank in (0, 1):
            _block(ax, x, 1.1 - 1.2 * rank, rank, whole=name in ("all-gather", "use"), adapter=last)
        if name == "all-gather" or last:
            for side, color in ((0.28, BLUE), (0.52, ORANGE)):
                ends = ((x + side, 1.06), (x + side, 0.84))
                ax.annotate(
                    "", *(ends[::-1] if side < 0.4 else ends), arrowprops={"arrowstyle": "-|>", "color": color, "lw": 2}
                )
    ax.text(4.4, 0.95, "+", ha="center", va="center", weight="bold", size=13)
    ax.plot([1.04, 3.76], [-0.2, -0.2], color=GREY, lw=1.2)
    ax.text(2.4, -0.25, "2 to 4 again on the way back", ha="center", va="top", size=10.5)
    for rank in (0, 1):
        ax.text(-0.08, 1.55 - 1.2 * rank, f"rank {rank}", ha="right", va="center", weight="bold", size=11)
    ax.set(xlim=(-0.6, 4.85), ylim=(-0.5, 2.9), title="A block is whole only while it is used")
    ax.set_axis_off()
    words = (
        "A block is whole only while it is used. 1 At rest each of two ranks keeps its half. 2 All-gather: the halves "
        "travel, and both have the whole block. 3 Each uses it on its own text. 4 Both let the other's half go again. "
        "On the way back 2 to 4 happen once more, and then 5, reduce-scatter: the gradients of A and B are summed, and "
        "each rank keeps half of the sum."
    )
    return figure, words


def _block(ax: Any, x: float, y: float, rank: int, whole: bool, adapter: bool) -> None:
    """Two halves: those held are filled in the colour of the rank that keeps them, the other is an outline."""
    height = 0.22 if adapter else 0.45
    for half, color in enumerate(RANK_COLORS):
        held = whole or half == rank
        bottom = y + 0.22 + (1 - half) * height if adapter else y + (1 - half) * height
        style: dict[str, Any] = {"facecolor": color} if held else {"facecolor": "none", "ls": "--"}
        ax.bar(x + 0.4, height, 0.72, bottom, edgecolor=GREY, lw=1.0, **style)
