"""Pictures of lesson 12: where a step's time goes, what a batch is made of, and the recorded runs side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from ...drawing import BLUE, GREY, ORANGE, SKY
from ...experiments.training_speed import COURSE, TRAINER
from ...tasks import IGNORED
from .rungs import ATTENTION, MOVING, PRODUCTS, REST, Batch

INK, PALE = "#202124", "#c9ccd1"
KIND_COLORS = {PRODUCTS: BLUE, ATTENTION: SKY, MOVING: ORANGE, REST: PALE}
ON_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # before every line
NAMED_FROM = 0.07  # of the first bar: a shorter piece has no room for its name


def step_bars(steps: Mapping[str, Mapping[str, float]], floor: float) -> tuple[Figure, str, str]:
    """A bar a step, its seconds in pieces by kind of work, and the bar of the floor below: all on one scale."""
    totals = {name: sum(by_kind.values()) for name, by_kind in steps.items()}
    below = len(steps) + 0.9  # the kinds are named under the first bar
    figure = Figure(figsize=(7.2, 0.8 + 0.62 * (below + 1)))
    ax: Any = figure.subplots()
    for n, (name, by_kind) in enumerate(steps.items()):
        y, start, total = n + 0.9 * (n > 0), 0.0, totals[name]
        for kind, seconds in by_kind.items():
            ax.barh(y, seconds, left=start, color=KIND_COLORS[kind], height=0.42, edgecolor="white", lw=1)
            if n == 0 and seconds > NAMED_FROM * total:
                said = "\n".join([*kind.split(), f"{seconds / total:.0%}"])
                ax.text(start, y + 0.28, said, va="top", color=INK, size=10, linespacing=1.05, bbox=ON_WHITE, zorder=4)
            start += seconds
        _above(ax, y, f"{name}: {total:.2f} s, {total / floor:.1f} × the floor")
    ax.barh(below, floor, color=INK, height=0.42)
    _above(ax, below, f"The floor: {floor:.2f} s")
    ax.plot([floor, floor], [-0.21, below], color=INK, ls="--", lw=1.4)
    first, last = next(iter(totals.values())) / floor, [*totals.values()][-1] / floor
    finding = f"A step takes {first:.1f} times as long as its floor"
    if len(steps) > 1:
        finding = f"From {first:.1f} to {last:.1f} times the floor, with the same loss and gradients"
    ax.set_title(finding, pad=12)
    ax.set(ylim=(below + 0.4, -0.7), yticks=[], xlabel="seconds of one forward and backward pass")
    ax.spines["left"].set_visible(False)
    ax.grid(axis="y", visible=False)
    return figure, f"{finding}.", " ".join(_parts(name, by_kind) for name, by_kind in steps.items())


def _above(ax: Any, y: float, text: str) -> None:
    """Names a bar, above it."""
    ax.text(0, y - 0.29, text, color=INK, weight="bold", size=10, bbox=ON_WHITE, zorder=4)


def _parts(name: str, by_kind: Mapping[str, float]) -> str:
    total = sum(by_kind.values())
    return f"{name}, {total:.2f} s: " + ", ".join(f"{k} {s / total:.0%}" for k, s in by_kind.items()) + "."


def batch_places(batch: Batch, shared: int) -> Figure:
    """A row a chat, a square a token: what is padding, what is read again, what is needed, what is taught."""
    longest = max(len(one.input_ids) for one in batch)
    grid = np.zeros((len(batch), longest))
    for row, one in zip(grid, batch, strict=True):
        row[: len(one.input_ids)] = 2
        row[:shared] = 1
        row[: len(one.labels)][(one.labels != IGNORED).numpy()] = 3
    grid[0, :shared] = 2
    figure = Figure(figsize=(7.6, 0.9 + 0.26 * len(batch)))
    ax = figure.subplots()
    ax.pcolormesh(
        grid, cmap=ListedColormap(["white", "#c9ccd1", SKY, ORANGE]), edgecolors="white", lw=0.5, vmin=0, vmax=3
    )
    ax.invert_yaxis()
    first = int((batch[0].labels != IGNORED).int().argmax())
    names = [(0, "grey: prompt again", GREY), (shared, "question", BLUE), (first, "answer, taught", "#b06f00")]
    for x, name, color in [*names, (longest, "padding, white", INK)]:
        side = "right" if x == longest else "left"
        ax.annotate(name, (x, 0), (0, 5), textcoords="offset points", ha=side, color=color, weight="bold", size=10)
    ax.set(xlabel="place in the row", ylabel="chat", yticks=[])
    ax.grid(visible=False)
    return figure


def sooner(machines: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> tuple[Figure, str, str]:
    """The recorded runs: under each machine's name the seconds and the held-out loss of both sides."""
    figure = Figure(figsize=(7.2, 0.8 + 1.2 * len(machines)))
    ax: Any = figure.subplots()
    numbers, times = [], []
    for n, (machine, sides) in enumerate(machines.items()):
        theirs, ours = sides[TRAINER], sides[COURSE]
        times.append(f"{theirs['seconds'] / ours['seconds']:.1f}")
        ax.text(0, 3 * n - 0.62, f"{machine}: {times[-1]} times sooner", color=INK, weight="bold", size=10)
        for y, side, row, color in ((3 * n, TRAINER, theirs, GREY), (3 * n + 0.9, COURSE, ours, BLUE)):
            ax.barh(y, row["seconds"], color=color, height=0.75)
            said = f"{side}: {row['seconds']:.1f} s, {row['loss']:.2f} nats"
            ax.text(row["seconds"] + 0.4, y, said, color=INK, va="center", size=10)
            numbers.append(f"{machine}, {said}, {row['share_of_limit']:.0%} of the machine's best.")
    ax.set_title("About half the time, the same held-out loss", pad=12)
    ax.set(ylim=(3 * len(machines) - 1.2, -1.3), yticks=[], xlabel="seconds of training, recorded")
    ax.set_xlim(0, 1.65 * max(one[TRAINER]["seconds"] for one in machines.values()))
    ax.spines["left"].set_visible(False)
    ax.grid(axis="y", visible=False)
    finding = f"the same steps end at the same held-out loss, {', '.join(times)} times sooner."
    return figure, finding, " ".join(numbers)
