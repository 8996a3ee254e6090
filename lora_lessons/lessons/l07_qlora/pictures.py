"""Pictures of lesson 07: what fits on which card, and what a 4-bit base costs on two bases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from ...course.figures import fit_bars as fit_bars
from ...drawing import BLUE, GREEN, GREY, VERMILION, label

NAMES = {"nf4+double": "NF4 + double", "fp4": "FP4", "int4": "int4"}


def costs_on_two_bases(found: Mapping[str, Mapping[str, Any]]) -> tuple[Figure, str]:
    """Held-out loss above 16-bit, seed by seed: one panel per base, a row per 4-bit form with its 95% interval.

    `found` holds {title of the panel: {form: sweep.Summary}}. Red: a cost; grey: the interval reaches 0; green: the 4-bit base ends lower.
    """
    figure = Figure(figsize=(8.8, 2.5))
    sentences = []
    for ax, (title, rows) in zip(figure.subplots(1, len(found), sharey=True), found.items(), strict=True):
        ax.axvline(0, color=BLUE, lw=1.5)
        for y, (form, cost) in enumerate(rows.items()):
            color = VERMILION if cost.low > 0 else GREEN if cost.high < 0 else GREY
            ax.plot([cost.low, cost.high], [y, y], color=color, lw=2.6)
            ax.plot([cost.mean], [y], "s", color=color, ms=7)
            label(ax, cost.mean, y, f"{cost.mean:.3f}", "black", size=10, xytext=(0, 11), ha="center")
            sentences.append(f"{title}, {NAMES[form]}: {cost.mean:.3f} ({cost.low:.3f} to {cost.high:.3f}).")
        ax.set_yticks(range(len(rows)), [NAMES[form] for form in rows])
        ax.set(ylim=(len(rows) - 0.5, -0.75), xlabel="nats above LoRA on 16 bits (blue: no cost)")
        low, high = min(0.0, *(c.low for c in rows.values())), max(c.high for c in rows.values())
        ax.set_xlim(low - 0.08 * (high - low), high + 0.08 * (high - low))
        ax.set_title(title, fontsize=11)
        ax.grid(axis="y", visible=False)
    return figure, "Mean and 95% interval of the paired differences, in nats. " + " ".join(sentences)
