"""Pictures of lesson 16: tokens per second by the number of adapters in a batch, and llama.cpp's requests in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from ...drawing import BLUE, PURPLE, SKY, label
from .measured import COPIES, GATHERED, PEFT, ROWS, SWAPPED, Cost, Together, fastest, times

# Adapters are blue; these tell four of them apart, and each keeps its own in all panels.
SHADES = (BLUE, SKY, "#0b2a45", PURPLE)
LINES = {GATHERED: ("-", "gathered"), PEFT: ("--", "PEFT")}


def by_adapters(costs: Mapping[str, Mapping[int, Sequence[Cost]]]) -> tuple[Figure, str, str]:
    """Tokens per second against the number of different adapters in the batch; the finding, and its numbers.

    A line for each way with one pass, through its fastest rounds; a band for the ways with a pass for each adapter.
    """
    figure = Figure(figsize=(7.2, 3.9))
    ax: Any = figure.subplots()
    best = {
        way: {n: fastest(rounds).tokens_per_second() for n, rounds in by_count.items()}
        for way, by_count in costs.items()
    }
    counts = list(best[GATHERED])
    apart = list(zip(best[SWAPPED].values(), best[COPIES].values(), strict=True))
    ax.fill_between(counts, [min(two) for two in apart], [max(two) for two in apart], color="#b4b9be", lw=3)
    for way, (dashes, name) in LINES.items():
        ax.plot(counts, list(best[way].values()), f"o{dashes}", color=BLUE, ms=6)
        label(ax, counts[-1], best[way][counts[-1]], name, "black")
    label(ax, counts[-1], sum(apart[-1]) / 2, "one adapter\nafter the\nother", "black", size=10)
    ax.set_xscale("log", base=2)
    ax.set_xticks(counts, [f"{n}" for n in counts])
    ax.set(xlim=(counts[0] / 1.15, counts[-1] * 2.6), ylim=(0, None))
    ax.set(xlabel=f"different adapters in a batch of {ROWS} rows", ylabel="tokens per second, all rows")
    ax.set_title("Gathered rows keep their pace")
    ratio = times(costs[GATHERED][counts[-1]], costs[SWAPPED][counts[-1]])
    listed = " ".join(
        f"{way}: " + ", ".join(f"{n} adapter{'s' * (n > 1)} {speed:.0f}" for n, speed in by_count.items()) + "."
        for way, by_count in best.items()
    )
    return (
        figure,
        f"with {counts[-1]} adapters in the batch, gathering gives {ratio:.1f} times the tokens per second of "
        "swapping. The grey band holds the two ways that run one adapter after the other: swapped, and merged copies.",
        listed,
    )


def in_time(cases: Mapping[str, Together]) -> tuple[Figure, str]:
    """A panel for each case and a bar for each request, from when the server began to work on it until its answer."""
    figure = Figure(figsize=(7.2, 0.5 + 1.4 * len(cases)))
    panels = figure.subplots(len(cases), 1, sharex=True, squeeze=False)[:, 0]
    names = dict.fromkeys(_name(one.scales) for together in cases.values() for one in together.answered)
    colors = {name: SHADES[n % len(SHADES)] for n, name in enumerate(names)}
    sentences = []
    for ax, (case, together) in zip(panels, cases.items(), strict=True):
        for y, one in enumerate(sorted(together.answered, key=lambda one: (one.end, one.start))):
            name = _name(one.scales)
            ax.barh(y, one.end - one.start, left=max(0.0, one.start), color=colors[name], height=0.7)
            label(ax, one.end, y, name, "black", size=10)
        ax.set(yticks=[], ylim=(len(together.answered) - 0.4, -0.6))
        ax.set_title(f"{case}: {together.tokens} tokens in {together.passes} passes", size=12)
        ax.grid(axis="y", visible=False)
        last = max(one.end for one in together.answered)
        sentences.append(
            f"{case}: {together.passes} passes for {together.tokens} tokens, the last answer after {last:.1f} s."
        )
    longest = max(one.end for together in cases.values() for one in together.answered)
    panels[-1].set(
        xlabel="seconds after all requests were sent\n(a bar begins when the server starts on its request)",
        xlim=(0, 1.35 * longest),
    )
    return figure, " ".join(sentences)


def _name(scales: Mapping[str, float]) -> str:
    """A request's adapters in words."""
    named = [name if scale == 1 else f"{name} × {scale:g}" for name, scale in scales.items() if scale]
    return " + ".join(named) or "the base"
