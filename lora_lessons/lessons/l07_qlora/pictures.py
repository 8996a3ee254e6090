"""Pictures of lesson 07: what fits on which card, what a 4-bit base costs on two bases, and a step's memory in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ... import planning
from ...course.figures import BILL_COLORS
from ...drawing import BLUE, GREEN, VERMILION, label
from ...memory import GB, Bill, Ledger

FORMS = {"nf4+double": "NF4, double", "fp4": "FP4", "int4": "int4"}
MOMENTS = {
    "forward": "forward",
    "loss": "loss",
    "last block": "last\nblock",
    "middle blocks": "middle\nblocks",
    "first block": "first\nblock",
    "optimizer step": "optimizer",
}
WEIGHTS, PALE = "#b4b9be", "#e4e6e8"
# What is drawn of a bill, from below: its parts, some of them together, and the colour.
STACK = {
    ("weights",): WEIGHTS,
    ("adapters", "gradients", "moments"): BLUE,
    ("activations",): BILL_COLORS["activations"],
    ("logits, loss",): BILL_COLORS["logits, loss"],
    ("working", "driver, slack"): PALE,
}


def fits(bills: Mapping[str, Bill], model: str, cards: Sequence[str]) -> tuple[Figure, str]:
    """One bar a way to train, a line at what each card holds, and on each line whether that way fits. And its words."""
    figure = Figure(figsize=(7.2, 2.7))
    ax = figure.subplots()
    sizes = {card: planning.card_bytes(card) / GB for card in cards}
    end, words = 1.18 * max(*sizes.values(), *(bill.total / GB for bill in bills.values())), []
    for n, (card, size) in enumerate(sizes.items()):
        top = -0.6 - 0.28 * (n % 2)
        ax.plot([size, size], [len(bills), top], color="black", lw=1.1, ls="--", zorder=2)
        label(ax, size, top, card, "black", xytext=(0, 8), ha="center", size=10)
        words.append(f"{card} {size:.1f} GB")
    for y, (name, bill) in enumerate(bills.items()):
        total, weights = bill.total / GB, bill.weights / GB
        ax.barh(y, total, color=PALE, height=0.56, zorder=1)
        ax.barh(y, weights, color=WEIGHTS, height=0.56, zorder=1)
        ax.text(weights / 2, y, f"weights {weights:.1f}", ha="center", va="center", size=10)
        ax.text((weights + total) / 2, y, "rest", ha="center", va="center", size=10)
        ax.text(end, y, f"{total:.1f} GB", ha="right", va="center", weight="bold")
        for size in sizes.values():
            sign, color = ("✓", GREEN) if planning.is_enough(size, total) else ("✗", VERMILION)
            circle = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": color}
            ax.text(size, y, sign, color=color, ha="center", va="center", weight="bold", bbox=circle, zorder=3)
        words.append(f"{name}: {total:.1f} GB, {weights:.1f} of them weights")
    ax.set_yticks(range(len(bills)), [name.replace(", ", ",\n") for name in bills])
    ax.set(
        ylim=(len(bills) - 0.5, -1.2),
        xlim=(0, end),
        xlabel="GB at the peak of a training step (dashed: what a card holds)",
    )
    ax.set_title("The 4-bit base decides which card is large enough")
    ax.grid(visible=False)
    return figure, f"{model}, one text of 1,024 tokens, planned, against what each card holds. " + "; ".join(
        words
    ) + "."


def costs_on_two_bases(found: Mapping[str, Mapping[str, Any]]) -> tuple[Figure, str]:
    """Held-out loss above 16-bit, seed by seed: a group of rows per base, a row per 4-bit form, one zero line.

    `found` holds {name of the group: {form: sweep.Summary}}. A filled mark: the 95% interval does not reach 0.
    """
    figure = Figure(figsize=(7.2, 3.7))
    ax = figure.subplots()
    ax.axvline(0, color="black", lw=1.2, ls="--")
    y, rows, sentences = 0, {}, []
    every = [one for group in found.values() for one in group.values()]
    left, right = 1.3 * min(one.low for one in every), 1.3 * max(one.high for one in every)
    for title, group in found.items():
        rows[y] = ""
        white = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        label(ax, left, y, title, "black", xytext=(6, 0), bbox=white)
        for form, cost in group.items():
            y += 1
            rows[y] = FORMS[form]
            apart = cost.low > 0 or cost.high < 0
            ax.plot([cost.low, cost.high], [y, y], color=BLUE, lw=2.6)
            ax.plot([cost.mean], [y], "o", color=BLUE, mfc=BLUE if apart else "white", ms=9, mew=2)
            label(ax, right, y, f"{cost.mean:+.2f}".replace("-", "−"), "black", xytext=(0, 0), ha="right")
            sentences.append(f"{title}, {FORMS[form]}: {cost.mean:.3f} ({cost.low:.3f} to {cost.high:.3f}).")
        y += 1
    ax.set_yticks(list(rows), list(rows.values()))
    ax.tick_params(axis="y", length=0)
    ax.set(ylim=(y - 0.4, -0.6), xlim=(left, right))
    ax.set_xlabel("nats above LoRA on the same base in 16 bits (dashed: no cost)")
    ax.set_title("4 bits cost on one base; on the other none shows")
    ax.grid(axis="y", visible=False)
    return figure, "mean and 95% interval of the paired differences, in nats. " + " ".join(sentences)


def over_one_step(on: Ledger, off: Ledger, model: str) -> tuple[Figure, str]:
    """What a step holds from moment to moment: stacked with checkpointing (`on`), an outline without it (`off`)."""
    figure = Figure(figsize=(7.2, 4.0))
    ax = figure.subplots()
    x = np.arange(len(MOMENTS))
    parts = [on.moments[moment].parts for moment in MOMENTS]
    below = np.zeros(len(x))
    for summed, color in STACK.items():
        sizes = np.array([sum(one[part] for part in summed) for one in parts]) / GB
        ax.bar(x, sizes, 1, bottom=below, color=color, label=", ".join(summed), edgecolor="white", lw=0.8)
        below += sizes
    totals = [off.moments[moment].total / GB for moment in MOMENTS]
    ax.stairs(totals, np.arange(len(x) + 1) - 0.5, color="black", lw=1.4, ls="--")
    peak, without = (list(MOMENTS).index(one.moment) for one in (on, off))
    most = max(totals)
    label(ax, 2.6, most * 1.02, f"without checkpointing: {most:.1f} GB", "black", xytext=(0, 0), size=10)
    label(ax, peak, below[peak], f"{below[peak]:.1f} GB", "black", xytext=(0, 8), ha="center", size=10)
    weights = on.bill.weights / GB
    ax.text(len(x) / 2 - 0.5, weights / 2, f"weights, {weights:.1f} GB all through", ha="center", va="center", size=10)
    ax.set_xticks(x, list(MOMENTS.values()))
    ax.set(ylabel="GB", ylim=(0, 1.1 * most), xlim=(-0.6, len(x) - 0.4))
    figure.legend(loc="outside lower center", ncols=2, fontsize=10)
    ax.set_title(f"With checkpointing the peak is the {MOMENTS[on.moment]}")
    ax.grid(axis="x", visible=False)
    said = [
        f"{moment} {on.moments[moment].total / GB:.1f} ({off.moments[moment].total / GB:.1f})" for moment in MOMENTS
    ]
    return figure, (
        f"a QLoRA step of {model}, one text of 1,024 tokens, planned. GB with checkpointing, and without it in "
        f"brackets: {', '.join(said)}. The weights take {weights:.1f} of them at every moment; without checkpointing "
        f"the peak is {'also ' if list(MOMENTS)[without] == on.moment else ''}the {list(MOMENTS)[without]}."
    )
