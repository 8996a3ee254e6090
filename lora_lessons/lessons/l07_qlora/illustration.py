"""The illustration of lesson 07: what a training step holds in memory, from moment to moment."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ...course.figures import BILL_COLORS
from ...drawing import BLUE
from ...memory import GB, Ledger

MOMENTS = ("forward", "loss", "last block", "middle blocks", "first block", "optimizer step")
# What is drawn of a bill, from below: its parts, some of them together, and the colour.
STACK = {
    ("weights",): "#b4b9be",
    ("adapters", "gradients", "moments"): BLUE,
    ("activations",): BILL_COLORS["activations"],
    ("logits, loss",): BILL_COLORS["logits, loss"],
    ("working", "driver, slack"): "#e4e6e8",
}


def one_step(on: Ledger, off: Ledger, model: str) -> tuple[Figure, str]:
    """A step of `model` with checkpointing (`on`) stacked, without it (`off`) as an outline; and the words for it."""
    figure = Figure(figsize=(7.2, 4.0))
    ax = figure.subplots()
    x, below = np.arange(len(MOMENTS)), np.zeros(len(MOMENTS))
    for summed, color in STACK.items():
        sizes = [sum(on.moments[moment].parts[part] for part in summed) / GB for moment in MOMENTS]
        ax.bar(x, sizes, 1, bottom=below, color=color, label=", ".join(summed), edgecolor="white", lw=0.8)
        below += sizes
    totals = [off.moments[moment].total / GB for moment in MOMENTS]
    ax.stairs(totals, np.arange(len(x) + 1) - 0.5, color="black", lw=1.4, ls="--")
    most, weights, peak = max(totals), on.bill.weights / GB, MOMENTS.index(on.moment)
    ax.text(2.6, most, f"without checkpointing: {most:.1f} GB", va="bottom", weight="bold", size=10)
    ax.text(peak, below[peak] + most / 60, f"{below[peak]:.1f} GB", ha="center", weight="bold", size=10)
    ax.text(len(x) / 2 - 0.5, weights / 2, f"weights, {weights:.1f} GB all through", ha="center", va="center", size=10)
    ax.set_xticks(x, [moment.replace(" step", "").replace(" ", "\n") for moment in MOMENTS])
    ax.set(ylabel="GB", ylim=(0, 1.1 * most), xlim=(-0.6, len(x) - 0.4))
    ax.set_title(f"With checkpointing the peak is the {on.moment}")
    ax.grid(axis="x", visible=False)
    figure.legend(loc="outside lower center", ncols=2, fontsize=10)
    said = [f"{moment} {full:.1f} ({without:.1f})" for moment, full, without in zip(MOMENTS, below, totals, strict=True)]
    return figure, (
        f"A QLoRA step of {model}, planned. GB with checkpointing, and without it in brackets: {', '.join(said)}. "
        f"The weights take {weights:.1f} of them at every moment; without checkpointing the peak is the {off.moment}."
    )
