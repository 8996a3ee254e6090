"""Pictures of lesson 05: the sweep beside the paper's table; lines and intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from ...course.figures import intervals as intervals
from ...course.figures import sweep_lines as sweep_lines
from ...drawing import BLUE, GREY, ORANGE, VERMILION, label


def beside_the_paper(paper: Mapping[str, Mapping[int, float]], ours: Mapping[str, Sequence[tuple[int, Any]]]) -> Figure:
    """Table 6 of the paper (accuracy, higher is better) beside the sweep (loss, axis turned: higher is better, too)."""
    figure = Figure(figsize=(8.6, 3.5))
    left, right = figure.subplots(1, 2)
    for (targets, accuracy), color in zip(paper.items(), (GREY, BLUE, ORANGE), strict=False):
        left.plot(list(accuracy), list(accuracy.values()), "o-", color=color)
        label(left, max(accuracy), list(accuracy.values())[-1], targets, color)
    for (targets, points), color in zip(ours.items(), (BLUE, VERMILION), strict=False):
        x = [r for r, _ in points]
        right.plot(x, [one.mean for _, one in points], "o-", color=color)
        right.vlines(x, [one.low for _, one in points], [one.high for _, one in points], color=color, lw=1.4, alpha=0.6)
        label(right, x[-1], points[-1][1].mean, targets, color)
    for ax in (left, right):
        ax.set_xscale("log", base=2)
        ax.set_xticks(ticks := (1, 4, 16, 64), [str(t) for t in ticks])
        ax.set(xlim=(0.8, 64 * 5), xlabel="rank r")
    left.set(ylabel="WikiSQL accuracy (%)", title="Published: GPT-3 175B, Table 6")
    right.set(ylabel="held-out loss (nats), axis turned", title="Recorded: our 135M, α = 16")
    right.invert_yaxis()
    return figure
