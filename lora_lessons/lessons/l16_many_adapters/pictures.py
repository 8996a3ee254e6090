"""Pictures of lesson 16: tokens per second by the number of adapters in a batch, and llama.cpp's requests in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from ...drawing import BLUE, GREY, ORANGE, PALETTE, VERMILION, label
from .serving import Together
from .speed import COPIES, GATHERED, MERGED, ROWS, SWAPPED, TOKENS, Cost, fastest, times

COLORS = {GATHERED: BLUE, COPIES: ORANGE, SWAPPED: GREY, MERGED: VERMILION}


def by_adapters(costs: Mapping[str, Mapping[int, Sequence[Cost]]]) -> tuple[Figure, str]:
    """Tokens per second of a batch against the number of different adapters in it, and words.

    A line for each way through its fastest rounds; every round is a pale dot.
    """
    figure = Figure(figsize=(8.4, 4.2))
    ax: Any = figure.subplots()
    sentences, ends = [], []
    for way, by_count in costs.items():
        speeds = {n: fastest(rounds).tokens_per_second() for n, rounds in by_count.items()}
        every = [(n, cost.tokens_per_second()) for n, rounds in by_count.items() for cost in rounds]
        ax.scatter(*zip(*every, strict=True), color=COLORS[way], alpha=0.3, s=22, lw=0)
        ax.plot(list(speeds), list(speeds.values()), "o-", color=COLORS[way], ms=6)
        ends.append((list(speeds.values())[-1], way))
        sentences.append(
            f"{way}: " + ", ".join(f"{n} adapter{'s' * (n > 1)} {speed:.0f}" for n, speed in speeds.items()) + "."
        )
    counts, top = list(next(iter(costs.values()))), ax.get_ylim()[1]
    last = float("-inf")
    for y, way in sorted(ends):
        last = max(y, last + 0.065 * top)
        ax.plot([counts[-1], counts[-1] * 1.2], [y, last], color=COLORS[way], lw=0.8)
        label(ax, counts[-1] * 1.2, last, way, COLORS[way], xytext=(3, 0))
    ax.set_xscale("log", base=2)
    ax.set_xticks(counts, [f"{n}" for n in counts])
    ax.set(xlim=(counts[0] / 1.1, counts[-1] * 3), ylim=(0, 1.02 * top))
    ax.set(xlabel=f"different adapters in a batch of {ROWS} rows", ylabel="tokens per second, all rows together")
    ax.set_title(f"Answers of {TOKENS} tokens")
    ratio = times(costs[GATHERED][counts[-1]], costs[SWAPPED][counts[-1]])
    sentences.append(f"With {counts[-1]} adapters, gathered has {ratio:.1f} times the tokens per second of swapped.")
    return figure, f"Tokens per second of {ROWS} rows. " + " ".join(sentences)


def in_time(cases: Mapping[str, Together]) -> tuple[Figure, str]:
    """A panel for each case and a bar for each request, from when the server began to work on it until its answer."""
    figure = Figure(figsize=(8.4, 0.5 + 1.25 * len(cases)))
    panels = figure.subplots(len(cases), 1, sharex=True, squeeze=False)[:, 0]
    sentences = []
    for ax, (case, together) in zip(panels, cases.items(), strict=True):
        kinds = list(dict.fromkeys(_name(one.scales) for one in together.answered))
        for y, one in enumerate(sorted(together.answered, key=lambda one: (one.end, one.start))):
            color = PALETTE[kinds.index(_name(one.scales)) % len(PALETTE)]
            ax.barh(y, one.end - one.start, left=max(0.0, one.start), color=color, height=0.7)
            label(ax, one.end, y, _name(one.scales), "black", size=9)
        ax.set(yticks=[], ylim=(len(together.answered) - 0.4, -0.6))
        ax.set_title(f"{case}: {together.shared:.1f} tokens per pass", fontsize=11)
        ax.grid(axis="y", visible=False)
        last = max(one.end for one in together.answered)
        sentences.append(
            f"{case}: {together.passes} passes for {together.tokens} tokens, the last answer after {last:.1f} s."
        )
    longest = max(one.end for together in cases.values() for one in together.answered)
    panels[-1].set(xlabel="seconds after all requests were sent", xlim=(0, 1.28 * longest))
    return figure, " ".join(sentences)


def _name(scales: Mapping[str, float]) -> str:
    """A request's adapters in words."""
    named = [name if scale == 1 else f"{name} × {scale:g}" for name, scale in scales.items() if scale]
    return " + ".join(named) or "the base"
