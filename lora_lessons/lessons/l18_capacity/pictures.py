"""Pictures of lesson 18: the share of a book that is held, by what is asked of a trained number,
and what a cut leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import NamedTuple

from matplotlib.figure import Figure

from ...drawing import BLUE, GREY, ORANGE, label

INK = {BLUE: BLUE, ORANGE: "#8a5a00"}
LOADS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Held(NamedTuple):
    """What an adapter was asked to hold, and what it held."""

    entries: int
    asked: float  # bits of the book per trained number
    share: float  # of those bits


def filled(lines: Mapping[int, Sequence[Held]], masks: Mapping[int, Held]) -> tuple[Figure, str, str]:
    """The share of a book that is held, over the bits that it asks per trained number: a line a rank of B·A,
    and the mask."""
    figure = Figure(figsize=(7.2, 3.9))
    ax = figure.subplots()
    for r, points in lines.items():
        ax.plot([one.asked for one in points], [100 * one.share for one in points], "o-", color=BLUE, ms=5, lw=1.6)
        label(ax, points[-1].asked, 100 * points[-1].share, f"r = {r}", BLUE, xytext=(9, 3))
    if masks:
        squares = [(one.asked, 100 * one.share) for one in masks.values()]
        ax.plot(*zip(*squares, strict=True), "s", color=ORANGE, ms=8, zorder=1)
        label(ax, *sorted(squares)[len(squares) // 2 - 1], "mask", INK[ORANGE], xytext=(9, 3))
    ax.set(
        xscale="log",
        xlabel="bits asked per trained number",
        ylabel="share of the book held, %",
        ylim=(0, 107),
        xlim=(0.016, 11),
    )
    ax.set_title("The more bits are asked of a trained number,\nthe less of the book is held")
    ax.set_xticks(LOADS, [f"{load:g}" for load in LOADS])
    ax.minorticks_off()
    told = [f"B·A of rank {r}: {_points(points)}" for r, points in lines.items()]
    told += [f"mask with as many trained numbers as rank {r}: {_points([one])}" for r, one in masks.items()]
    return figure, "A line is a rank of B·A; orange squares are the mask on the largest book.", f"{'; '.join(told)}."


def _points(points: Sequence[Held]) -> str:
    return ", ".join(f"{one.share:.0%} of {one.entries} entries at {one.asked:.2f} bits asked" for one in points)


def cut(cut: Mapping[int, float], trained: Mapping[int, float], high: int, whole: float) -> tuple[Figure, str]:
    """The share of the book that is held at each rank: trained at the rank, and trained at `high` and cut to it."""
    figure = Figure(figsize=(7.2, 3.4))
    ax = figure.subplots()
    ranks = sorted({*cut, *trained})
    for values, name, color, away, side in (
        (trained, "trained at this rank", BLUE, (-9, 5), "right"),
        (cut, f"trained at {high}, cut", ORANGE, (9, -9), "left"),
    ):
        # no line goes over a rank that was not measured
        ax.plot(ranks, [100 * values.get(r, nan) for r in ranks], "o-", color=color)
        label(ax, 4, 100 * values.get(4, nan), name, INK[color], xytext=away, ha=side)
    ax.axhline(100 * whole, ls="--", color=GREY, lw=1)
    label(ax, ranks[0], 100 * whole, f"rank {high}, uncut", GREY, xytext=(0, -9), ha="left")
    ax.set(
        xscale="log", xlabel="rank", ylabel="share of the book held, %", title="Trained low, or trained high and cut"
    )
    ax.set_xticks(ranks, [str(r) for r in ranks])
    ax.minorticks_off()
    told = (
        f"rank {r}: {cut[r]:.0%} cut" + (f", {trained[r]:.0%} trained" if r in trained else "") for r in sorted(cut)
    )
    return figure, f"Of the bits of 512 entries rank {high} holds {whole:.0%}. {'; '.join(told)}."
