"""Pictures of lesson 12: where a step's time goes, what a batch is made of, and the ladder down to the limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from ...drawing import BLUE, GREY, ORANGE, SKY, VERMILION, label
from ...tasks import IGNORED
from .measured import Rung
from .rungs import ATTENTION, MOVING, PRODUCTS, REST, Batch

KIND_COLORS = {PRODUCTS: BLUE, ATTENTION: SKY, MOVING: ORANGE, REST: GREY}
KIND_NAMES = {
    PRODUCTS: "matrix products",
    ATTENTION: "attention",
    MOVING: "moving numbers\n(add, scale, normalize, copy)",
    REST: "everything else\n(Python, bookkeeping)",
}


def time_bars(steps: Mapping[str, Mapping[str, float]]) -> tuple[Figure, str]:
    """Seconds by kind of work, a bar a kind and a panel a step; the panels share one axis."""
    figure = Figure(figsize=(8.4, 0.5 + 2.1 * len(steps)))
    sentences = []
    panels = figure.subplots(len(steps), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (name, by_kind) in zip(panels, steps.items(), strict=True):
        total = sum(by_kind.values())
        for y, (kind, seconds) in enumerate(by_kind.items()):
            ax.barh(y, seconds, color=KIND_COLORS[kind], height=0.7)
            label(ax, seconds, y, f"{seconds:.2f} s, {seconds / total:.0%}", "black", size=10)
        ax.set_yticks(range(len(by_kind)), [KIND_NAMES[kind] for kind in by_kind])
        ax.set(ylim=(len(by_kind) - 0.5, -0.5))
        ax.set_title(f"{name}: {total:.2f} s", fontsize=11)
        ax.grid(axis="y", visible=False)
        parts = ", ".join(f"{kind} {seconds / total:.0%}" for kind, seconds in by_kind.items())
        sentences.append(f"{name}, {total:.2f} s: {parts}.")
    panels[-1].set_xlabel("seconds of one forward and backward pass")
    panels[-1].set_xlim(0, 1.25 * max(max(by_kind.values()) for by_kind in steps.values()))
    return figure, " ".join(sentences)


def batch_places(batch: Batch, shared: int) -> Figure:
    """A row a conversation, a square a token: what is padding, what is read again, what is needed, what is taught."""
    longest = max(len(one.input_ids) for one in batch)
    grid = np.zeros((len(batch), longest))
    for row, one in zip(grid, batch, strict=True):
        row[: len(one.input_ids)] = 2
        row[:shared] = 1
        row[: len(one.labels)][(one.labels != IGNORED).numpy()] = 3
    grid[0, :shared] = 2
    figure = Figure(figsize=(8.8, 0.9 + 0.26 * len(batch)))
    ax = figure.subplots()
    ax.pcolormesh(
        grid, cmap=ListedColormap(["white", "#c9ccd1", SKY, ORANGE]), edgecolors="white", lw=0.5, vmin=0, vmax=3
    )
    ax.invert_yaxis()
    first = int((batch[0].labels != IGNORED).int().argmax())
    names = [(0, "the same in every row", GREY), (shared, "question", BLUE), (first, "answer, taught", "#b06f00")]
    for x, name, color in [*names, (longest, "padding", VERMILION)]:
        side = "right" if name == "padding" else "left"
        ax.annotate(name, (x, 0), (0, 5), textcoords="offset points", ha=side, color=color, weight="bold", size=10)
    ax.set(xlabel="place in the row", ylabel="conversation", yticks=[])
    ax.grid(visible=False)
    return figure


def ladder(rungs: Mapping[str, Rung], least: float) -> tuple[Figure, str]:
    """A bar a rung: its seconds, and what share of the limit that is; dashed: `least`, the arithmetic at the limit."""
    figure = Figure(figsize=(8.8, 0.9 + 0.42 * len(rungs)))
    ax: Any = figure.subplots()
    for y, one in enumerate(rungs.values()):
        ax.barh(y, one.seconds, color=BLUE, height=0.65)
        label(ax, one.seconds, y, f"{one.seconds:.2f} s, {least / one.seconds:.0%} of the limit", "black", size=10)
    ax.axvline(least, color=VERMILION, ls="--", lw=1.6)
    ax.annotate("the limit", (least, -0.5), (4, 3), textcoords="offset points", color=VERMILION, weight="bold", size=10)
    ax.set_yticks(range(len(rungs)), list(rungs))
    ax.set(ylim=(len(rungs) - 0.5, -0.5), xlabel="seconds of one forward and backward pass")
    ax.set_xlim(0, 1.35 * max(one.seconds for one in rungs.values()))
    ax.grid(axis="y", visible=False)
    listed = ", ".join(f"{name} {one.seconds:.2f} s ({least / one.seconds:.0%})" for name, one in rungs.items())
    return (
        figure,
        f"Seconds of a step, and the share of the machine's limit that the needed arithmetic reaches: {listed}.",
    )
