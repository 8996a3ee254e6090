"""Pictures of lesson 18: what so many trained numbers hold, and what a cut leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.figure import Figure

from ...drawing import BLUE, GREY, ORANGE
from ...experiments.capacity.book import BITS

WAYS = {"B·A": (BLUE, "o", BLUE), "mask": (ORANGE, "s", "#8a5a00")}


def filled(runs: Sequence[Mapping[str, Any]]) -> tuple[Figure, str]:
    """What the adapter on one block holds: bits over the book's size, a line a rank; and bits a trained number on the largest book."""
    both = {run["r"] for run in runs if run["way"] == "mask"}
    alone = [run for run in runs if run["blocks"] == run["longer"] == 1 and run["r"] in both]
    figure = Figure(figsize=(9.4, 3.6))
    books, numbers = figure.subplots(1, 2, width_ratios=(3, 2))
    sizes, words = sorted({run["entries"] for run in alone}), []
    asked = {entries: entries * BITS for entries in sizes}
    books.plot(sizes, [asked[n] for n in sizes], "--", color=GREY, lw=1)
    books.text(sizes[0], 1.15 * asked[sizes[0]], "all of it", color=GREY, ha="left", va="bottom", rotation=25)
    for r in sorted(both):
        means = _means(alone, "B·A", "entries", "bits", r=r)
        books.plot(*zip(*means, strict=True), "o-", color=BLUE, ms=4, lw=1)
        books.text(1.06 * means[-1][0], means[-1][1], f"rank {r}", color=BLUE, va="center")
        words.append(
            f"rank {r} " + ", ".join(f"{bits:,.0f} of {asked[n]:,.0f} bits at {n} entries" for n, bits in means)
        )
    books.set(xscale="log", yscale="log", xlabel="entries in the book", ylabel="bits held", title="B·A on one matrix")
    books.set_xticks(sizes, map(str, sizes))
    books.minorticks_off()
    books.set_xlim(0.85 * sizes[0], 1.7 * sizes[-1])
    largest = [run for run in alone if run["entries"] == sizes[-1]]
    for way, (color, marker, ink) in WAYS.items():
        if means := _means(largest, way, "trained", "bits_a_number"):
            numbers.plot(*zip(*means, strict=True), f"{marker}-", color=color, ms=5, lw=1)
            numbers.annotate(way, means[0], (4, 7), textcoords="offset points", color=ink, weight="bold")
            words.append(f"{way} of {', '.join(f'{each:.2f} bits a number with {n:,}' for n, each in means)}")
    first, _, *more = sorted({run["trained"] for run in largest})  # two labels would touch
    numbers.set(xscale="log", xlabel="trained numbers", ylabel="bits a trained number", title=f"{sizes[-1]} entries")
    numbers.set_xticks([first, *more], [f"{n:,}" for n in (first, *more)])
    numbers.minorticks_off()
    numbers.margins(x=0.12, y=0.15)
    numbers.set_ylim(bottom=0)
    return figure, f"{'; '.join(words)}."


def _means(runs: Sequence[Mapping[str, Any]], way: str, over: str, what: str, **also: Any) -> list[tuple[float, float]]:
    """The mean of one field over the seeds, at each value of another."""
    found: dict[float, list[float]] = {}
    for run in runs:
        if run["way"] == way and all(run[name] == value for name, value in also.items()):
            found.setdefault(run[over], []).append(run[what])
    return [(value, fmean(found[value])) for value in sorted(found)]


def kept_by_rank(shares: Sequence[float]) -> tuple[Figure, str]:
    """The share of ‖ΔW‖² that is left at rank 1, 2, …"""
    figure = Figure(figsize=(7.2, 3))
    ax = figure.subplots()
    ranks = range(1, len(shares) + 1)
    ax.plot(ranks, shares, "o-", color=BLUE)
    ax.set(
        ylim=(0, 1.05), xlabel="rank it is cut to", ylabel="share of ‖ΔW‖²", title="What a cut of the persona leaves"
    )
    told = ", ".join(f"{share:.0%} at rank {r}" for r, share in zip(ranks, shares, strict=True))
    return figure, f"Of ‖ΔW‖², over all layers together: {told}."


def cut(cut: Mapping[int, float], trained: Mapping[int, float], high: int, whole: float) -> tuple[Figure, str]:
    """Bits over the rank: trained at the rank, and trained at `high` and cut to it; the dashed line is `high` uncut."""
    figure = Figure(figsize=(7.2, 3.4))
    ax = figure.subplots()
    for values, name, color, ink, side in (
        (trained, "trained at this rank", BLUE, BLUE, "right"),
        (cut, f"trained at {high}, cut", ORANGE, "#8a5a00", "left"),
    ):
        ranks = sorted(values)
        ax.plot(ranks, [values[r] for r in ranks], "o-", color=color)
        away = (-9, 5) if side == "right" else (9, -9)
        ax.annotate(name, (4, values[4]), away, textcoords="offset points", color=ink, weight="bold", ha=side)
    ax.axhline(whole, ls="--", color=GREY, lw=1)
    ax.set(xscale="log", xlabel="rank", ylabel="bits held", title="Trained low, or trained high and cut")
    ax.set_xticks(sorted({*cut, *trained}), [str(r) for r in sorted({*cut, *trained})])
    ax.minorticks_off()
    both = sorted(cut.keys() & trained.keys())
    told = (f"rank {r}: {cut[r]:,.0f} bits cut, {trained[r]:,.0f} trained" for r in both)
    return figure, f"Rank {high} holds {whole:,.0f} bits. {'; '.join(told)}."
