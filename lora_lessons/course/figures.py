"""Pictures that several lessons draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from .. import memory
from ..drawing import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, WIDTH, label

# Of the eight parts of a memory.Bill.
_COLORS = (GREY, ORANGE, BLUE, GREEN, SKY, PURPLE, "#b58900", "#9aa0a6")
BILL_COLORS = dict(zip(memory.Bill(0).parts, _COLORS, strict=True))


def sweep_lines(
    lines: Mapping[str, Sequence[tuple[int, Any]]],
    ylabel: str = "held-out loss (nats)",
    title: str = "",
    percent: bool = False,
) -> Figure:
    """A quantity against r (log₂ axis), one line for each way to set α; bars are 95% intervals over seeds.

    `lines` holds {way: [(r, sweep.Summary)]}.
    """
    figure = Figure(figsize=(WIDTH, 3.9))
    ax = figure.subplots()
    ranks = sorted({r for points in lines.values() for r, _ in points})
    ends = []
    colors = (BLUE, ORANGE, VERMILION, GREEN, PURPLE, GREY, "black")
    for n, (way, points) in enumerate(lines.items()):
        color, dashes = colors[n % len(colors)], ("-", "--", ":")[n // len(colors) % 3]
        x = [r * 1.2 ** ((n + 0.5) / len(lines) - 0.5) for r, _ in points]  # side by side: the bars can be told apart
        ax.plot(x, [one.mean for _, one in points], "o", ls=dashes, color=color, ms=5)
        ax.vlines(x, [one.low for _, one in points], [one.high for _, one in points], color=color, lw=1.4, alpha=0.6)
        ends.append((points[-1][1].mean, way, color))
    if many := len(lines) > 6:  # no room beside the lines for so many names
        figure.set_figheight(3.9 + 0.12 * len(lines))
        figure.legend(list(ax.lines), list(lines), loc="outside lower center", ncols=2, fontsize=8)
    low, high = ax.get_ylim()
    last = float("-inf")
    for y, way, color in [] if many else sorted(ends):
        last = max(y, last + 0.07 * (high - low))
        label(ax, ranks[-1] * 1.15, last, way, color)
    ax.set_xscale("log", base=2)
    ax.set_xticks(ranks, [str(r) for r in ranks])
    ax.set_xlim(right=ranks[-1] * (1.3 if many else 3.2 if len(ranks) > 2 else 1.6))
    ax.set(xlabel="rank r", ylabel=ylabel, title=title)
    if percent:
        ax.yaxis.set_major_formatter(lambda y, _: f"{y:.1%}")
    return figure
