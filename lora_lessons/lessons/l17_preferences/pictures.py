"""Pictures of lesson 17: how long the two answers are, what became of each, and what a reward earned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from matplotlib.figure import Figure

from ...drawing import BLUE, GREY, ORANGE, label

INK = {BLUE: BLUE, ORANGE: "#8a5a00"}


def lengths(pairs: Sequence[Mapping[str, Any]]) -> tuple[Figure, str]:
    """Both answers of every pair on one axis of words, a dot an answer, a line a pair."""
    counts = sorted((len(pair["chosen"].split()), len(pair["rejected"].split())) for pair in pairs)
    figure = Figure(figsize=(7.2, 2.8))
    ax = figure.subplots()
    for row, (chosen, rejected) in enumerate(counts):
        ax.plot([chosen, rejected], [row, row], color="#d5d8db", lw=1, zorder=1)
    for column, name, color in ((0, "chosen", BLUE), (1, "rejected", ORANGE)):
        ax.scatter([pair[column] for pair in counts], range(len(counts)), s=14, color=color, zorder=2)
        ax.text(
            mean(pair[column] for pair in counts), len(counts) + 1, name, color=INK[color], ha="center", weight="bold"
        )
    ax.set_yticks([])
    ax.grid(axis="y", visible=False)
    ax.set(xlim=(0, None), ylim=(-1, len(counts) + 5), xlabel="words", title="Two answers to each question")
    short, long = (mean(pair[column] for pair in counts) for column in (0, 1))
    return figure, (
        f"{len(counts)} questions, two answers to each, a line a question. The chosen answers have {short:.0f} words on "
        f"average, the rejected ones {long:.0f}."
    )


def moved(chosen: Sequence[float], rejected: Sequence[float]) -> tuple[Figure, str]:
    """What became of both answers of each held-out pair: nats against the base; above the diagonal the chosen one gained."""
    figure = Figure(figsize=(7.2, 4.2))
    ax = figure.subplots()
    low, high = min(*chosen, *rejected, 0), max(*chosen, *rejected, 0)
    ax.plot([low, high], [low, high], "--", color="black", lw=1)
    ax.axhline(0, color=GREY, lw=0.8)
    ax.axvline(0, color=GREY, lw=0.8)
    ax.scatter(rejected, chosen, s=30, color=BLUE, zorder=3)
    ax.text(low, high, "preference learned", color=BLUE, va="top", weight="bold")
    ax.text(high, low, "preference missed", color=GREY, ha="right", va="bottom", weight="bold")
    ax.set(
        xlabel="rejected answer: change of log p (nats)",
        ylabel="chosen answer: change (nats)",
        title="One dot a held-out pair: above the dashed line it counts",
    )
    won = sum(c > r for c, r in zip(chosen, rejected, strict=True))
    return figure, (
        f"{won} of {len(chosen)} held-out pairs lie above the diagonal. On average the chosen answer moved by "
        f"{mean(chosen):+.1f} nats and the rejected one by {mean(rejected):+.1f}."
    )


def earned(runs: Mapping[str, Sequence[Sequence[float]]]) -> tuple[Figure, str]:
    """The mean reward of each step, every seed thin and their mean thick, a colour a rank."""
    figure = Figure(figsize=(7.2, 3.4))
    ax = figure.subplots()
    words = []
    for (name, seeds), color in zip(runs.items(), (BLUE, ORANGE), strict=False):
        middle = [mean(step) for step in zip(*seeds, strict=True)]
        for one in seeds:
            ax.plot(range(1, len(one) + 1), one, color=color, lw=0.7, alpha=0.4)
        ax.plot(range(1, len(middle) + 1), middle, color=color)
        label(ax, len(middle), middle[-1], name, INK[color])
        words.append(f"{name}: from {middle[0]:.2f} to {middle[-1]:.2f}")
    ax.set(ylim=(0, 1), xlabel="step", ylabel="mean reward", title="What the model's own answers earned")
    ax.set_xlim(right=1.12 * max(len(one) for seeds in runs.values() for one in seeds))
    return figure, f"the mean reward of a step's answers, over seeds. {'; '.join(words)}."
