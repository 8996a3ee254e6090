"""Pictures of lesson 11, and their words: two weights on their grid, errors of layers' outputs, losses passage by passage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...drawing import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION, label
from ...experiments.sweep import Summary, summary


def two_weights(H: Tensor, w: Tensor, chosen: Mapping[str, Tensor]) -> Figure:
    """Two weights (a grid of whole numbers): lines of equal output error around `w`, the grid, and the marks chosen."""
    figure = Figure(figsize=(6.4, 4.4))
    ax = figure.subplots()
    (x0, y0), reach = w.tolist(), 1.9
    x, y = torch.meshgrid(
        torch.linspace(x0 - reach, x0 + reach, 240), torch.linspace(y0 - reach, y0 + reach, 240), indexing="xy"
    )
    d = torch.stack([x - x0, y - y0])
    error = torch.einsum("iab,ij,jab->ab", d, H, d).sqrt()
    levels = [((mark - w) @ H @ (mark - w)).sqrt().item() for mark in chosen.values()]
    ax.contour(x, y, error, sorted({*levels, 0.5 * min(levels), 1.6 * max(levels)}), colors=SKY, linewidths=1.2)
    marks = [(i, j) for i in range(-8, 9) for j in range(-8, 9) if abs(i - x0) < reach and abs(j - y0) < reach]
    ax.plot(*zip(*marks, strict=True), "o", color=GREY, ms=4)
    ax.plot(x0, y0, "x", color="black", ms=9, mew=2.2)
    label(ax, x0, y0, "the weights", "black", xytext=(8, 8))
    for (name, mark), color in zip(chosen.items(), (VERMILION, BLUE), strict=False):
        at, above = mark.tolist()
        ax.plot(at, above, "o", color=color, ms=10)
        label(ax, at, above, name, color, xytext=(9, -12))
    ax.set(xlabel="weight 1 (steps of the grid)", ylabel="weight 2", aspect="equal")
    ax.set(xlim=(x0 - reach, x0 + reach), ylim=(y0 - reach, y0 + reach), title="Lines of equal output error")
    ax.grid(visible=False)
    return figure


def output_errors(rows: Mapping[str, Mapping[str, float]], xlabel: str) -> Figure:
    """One row a layer, a dot a method, named in the first row: how far the layer's output is off."""
    figure = Figure(figsize=(8.4, 0.9 + 0.62 * len(rows)))
    ax = figure.subplots()
    for y, errors in enumerate(rows.values()):
        ax.plot([min(errors.values()), max(errors.values())], [y, y], color=GREY, lw=1, zorder=1)
        for (name, error), color in zip(errors.items(), (VERMILION, ORANGE, BLUE, GREEN), strict=False):
            ax.plot(error, y, "o", color=color, ms=9)
            if y == 0:
                lowest = error == min(errors.values())
                label(ax, error, y, name, color, xytext=(8 * lowest, 12), ha="right" if lowest else "center")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(xlabel=xlabel, xlim=(0, None), ylim=(len(rows) - 0.5, -0.9))
    ax.grid(axis="y", visible=False)
    return figure


def paired_differences(gaps: Mapping[int, Mapping[str, Sequence[float]]], ylabel: str) -> Figure:
    """A panel for each number of bits, a column for each pair of methods: a dot a passage, their mean and 95% interval."""
    figure = Figure(figsize=(8.4, 3.9))
    panels = figure.subplots(1, len(gaps), sharey=True)
    for ax, (bits, columns) in zip(panels, gaps.items(), strict=True):
        ax.axhline(0, color=GREY, lw=1.4)
        for x, (values, color) in enumerate(zip(columns.values(), (BLUE, ORANGE, GREY), strict=False)):
            one = summary(values)
            spread = [x - 0.2 + 0.12 * i / (len(values) - 1) for i in range(len(values))]
            ax.plot(spread, values, "o", color=color, ms=5, alpha=0.55, mew=0)
            ax.plot([x + 0.14] * 2, [one.low, one.high], color=color, lw=2.6)
            ax.plot(x + 0.14, one.mean, "s", color=color, ms=7)
        ax.set_xticks(range(len(columns)), [name.replace(" minus ", "\nminus ") for name in columns], size=9)
        ax.set(title=f"{bits} bits", xlim=(-0.5, len(columns) - 0.5))
        ax.grid(axis="x", visible=False)
    panels[0].set_ylabel(ylabel)
    return figure


def rulers(rises: Mapping[str, Summary], xlabel: str) -> Figure:
    """A row for each ruler: how far the loss rises, mean and interval; blocks of 32 are squares, blocks of 64 dots."""
    figure = Figure(figsize=(8.6, 0.9 + 0.36 * len(rises)))
    ax = figure.subplots()
    for y, (name, one) in enumerate(rises.items()):
        small = "blocks of 32" in name
        color = ORANGE if small else BLUE
        ax.plot([one.low, one.high], [y, y], color=color, lw=2.4)
        ax.plot(one.mean, y, "s" if small else "o", color=color, ms=7)
        label(ax, one.high, y, f"{one.mean:.2f}", color, size=9)
    ax.set_yticks(range(len(rises)), list(rises))
    ax.set(ylim=(len(rises) - 0.5, -0.6), xlim=(-0.02, None), xlabel=xlabel)
    ax.grid(axis="y", visible=False)
    return figure


def of_two_weights(nearest: Tensor, best: Tensor, off_nearest: float, off_best: float) -> str:
    """The grid, the ellipses and the two marks."""
    return (
        "A cross marks the two weights, grey dots the marks of the grid. The lines of equal output error are long, tilted "
        f"ellipses. The nearest mark {_mark(nearest)} lies across them, {off_nearest:.2f} off; {_mark(best)} is farther "
        f"from the weights but lies along the ellipses, {off_best:.2f} off."
    )


def _mark(mark: Tensor) -> str:
    return f"({', '.join(f'{x:g}' for x in mark.tolist())})"


def of_errors(errors: Mapping[str, Mapping[str, float]]) -> str:
    """Each layer's errors, way by way."""
    sentences = [
        f"{kind}: " + ", ".join(f"{way} {error:.3f}" for way, error in of.items()) for kind, of in errors.items()
    ]
    return ". ".join(sentences) + "."


def of_gaps(gaps: Mapping[int, Mapping[str, Sequence[float]]]) -> str:
    """Each pair's 95% interval, and on how many passages the first loses less."""
    sentences = []
    for bits, columns in gaps.items():
        for name, values in columns.items():
            one, lower = summary(list(values)), sum(value < 0 for value in values)
            sentences.append(
                f"{name}, {bits} bits: {one.low:+.2f} to {one.high:+.2f} nats, lower on {lower} of {len(values)} passages."
            )
    return " ".join(sentences)


def of_rulers(rises: Mapping[str, Summary]) -> str:
    """How far the loss rises by each ruler."""
    return " ".join(f"{name}: {one.mean:.2f} nats ({one.low:.2f} to {one.high:.2f})." for name, one in rises.items())
