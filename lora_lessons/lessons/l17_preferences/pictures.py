"""Pictures of lesson 17: how long the two answers are, what became of each, and what a reward earned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from matplotlib.figure import Figure

from ...drawing import BLUE, GREY, ORANGE, PURPLE

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
        f"{len(counts)} questions, two answers to each, a line a question. The chosen answers have {short:.0f} words "
        f"on average, the rejected ones {long:.0f}."
    )


def moved(chosen: Sequence[float], rejected: Sequence[float]) -> tuple[Figure, str]:
    """What became of both answers of each held-out pair: nats against the base;
    above the diagonal the chosen one gained."""
    figure = Figure(figsize=(7.2, 4.2))
    ax = figure.subplots()
    low, high = min(*chosen, *rejected, 0), max(*chosen, *rejected, 0)
    ax.plot([low, high], [low, high], "--", color="black", lw=1)
    ax.axhline(0, color=GREY, lw=0.8)
    ax.axvline(0, color=GREY, lw=0.8)
    ax.scatter(rejected, chosen, s=30, color=BLUE, zorder=3)
    ax.text((low + high) / 2, 0.1 * low, "preference learned", color=BLUE, ha="center", va="top", weight="bold")
    ax.text(high, low, "preference missed", color=GREY, ha="right", va="bottom", weight="bold")
    ax.set(
        xlabel="rejected answer: change of log p (nats)",
        ylabel="chosen answer: change (nats)",
        title="One dot per held-out pair: above the dashed line it counts",
    )
    won = sum(c > r for c, r in zip(chosen, rejected, strict=True))
    return figure, (
        f"{won} of {len(chosen)} held-out pairs lie above the diagonal. On average the chosen answer moved by "
        f"{mean(chosen):+.1f} nats and the rejected one by {mean(rejected):+.1f}."
    )


def earned(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[Figure, str]:
    """Left the mean reward of each step, every seed thin and their mean thick; right how far each way went,
    a dot a seed."""
    figure = Figure(figsize=(9.4, 3.6))
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    words = []
    for row, (name, of_way) in enumerate(runs.items()):
        color = (BLUE, ORANGE, PURPLE, GREY)[row]
        moved = [run["kl"]["everyday"] for run in of_way]
        right.plot(moved, [-row] * len(moved), "o", color=color)
        right.text(0, 0.2 - row, f" {name}", color=INK.get(color, color), weight="bold", va="bottom")
        told = f"{name} ({len(moved)} {'seeds' if len(moved) > 1 else 'seed'}): {mean(moved):.2f} nats from the base"
        if not of_way[0]["written"]:
            curves = [run["steps"] for run in of_way]
            middle = [mean(step) for step in zip(*curves, strict=True)]
            for one in curves:
                left.plot(range(1, len(one) + 1), one, color=color, lw=0.7, alpha=0.4)
            left.plot(range(1, len(middle) + 1), middle, color=color)
            told += f", mean reward in training from {middle[0]:.2f} to {middle[-1]:.2f}"
        words.append(told)
    left.set(ylim=(0, 1.05), xlabel="step", ylabel="mean reward", title="In training, what sampled answers earned")
    right.set(
        xlim=(0, None),
        ylim=(0.8 - len(runs), 0.8),
        xlabel="KL per token, everyday questions (nats)",
        title="How far from the base",
    )
    right.set_yticks([])
    right.grid(axis="y", visible=False)
    return figure, f"{'; '.join(words)}."
