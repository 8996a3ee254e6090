"""The claims as small multiples: sizes along each axis, a mark and an interval a size, and what is still open."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import Any

from matplotlib.figure import Figure

from lora_lessons.drawing import BLUE, GREY
from lora_lessons.experiments.sizes.cells import CLAIMS, SIZES, STEPS, AskedBase
from lora_lessons.experiments.sizes.table import OPEN, Spread, families, said, table

COLUMNS = 3


def small_multiples(
    record: Mapping[str, Any], sizes: Mapping[str, AskedBase] = SIZES, steps: int = STEPS
) -> tuple[Figure, str]:
    """One axis a claim, with its first quantity that was measured, at each size; and the same in words.

    A dashed line stands where the family changes. What was not measured is said in its place,
    and so is what is not done.
    """
    first = {line.claim: line for line in reversed(table(record, sizes, steps)) if line.measured}
    titles, kin = [size.title for size in sizes.values()], [size.family for size in sizes.values()]
    rows = -(-len(first) // COLUMNS)
    figure = Figure(figsize=(9.0, 2.3 * rows), layout="constrained")
    axes = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
    words = []
    for ax, line in zip(axes, (first[claim] for claim in CLAIMS if claim in first), strict=False):
        for x, value in enumerate(line.at.values()):
            if isinstance(value, Spread):
                ax.plot(x, value.mean, "o", color=BLUE, ms=6)
                ax.annotate(
                    f"{value.mean:{line.quantity.form}}",
                    (x, value.mean),
                    (0, 6),
                    textcoords="offset points",
                    size=8,
                    ha="center",
                )
                if value.low is not None:
                    ax.vlines(x, value.low, value.high, color=BLUE, lw=2)
            else:
                text = "not\nmeasured\nyet" if value == OPEN else "not\ndone"
                ax.text(x, 0.5, text, color=GREY, size=8, ha="center", va="center", transform=ax.get_xaxis_transform())
        for x in range(1, len(kin)):
            if kin[x] != kin[x - 1]:
                ax.axvline(x - 0.5, color=GREY, lw=1, ls="--")
        ax.margins(y=0.3)
        if line.quantity.log:
            ax.set_yscale("log")
        elif line.quantity.form.startswith("+"):
            ax.axhline(0, color="black", lw=1)
        elif line.quantity.unit == "%":
            ax.set_ylim(min(0, ax.get_ylim()[0]), 110)
        elif line.quantity.unit.startswith("times the base"):
            ax.axhline(1, color="black", lw=1)
        ax.set_xticks(range(len(titles)), titles)
        ax.set_xlim(-0.5, len(titles) - 0.5)
        ax.set_title(fill(line.quantity.name, 26), size=9)
        ax.set_ylabel(line.quantity.unit, size=8)
        ax.tick_params(labelsize=8)
        at = ", ".join(f"{title} {said(value, line.quantity.form)}" for title, value in line.at.items())
        words.append(f"{line.quantity.name} ({line.quantity.unit}): {at}")
    for ax in axes[len(first) :]:
        ax.axis("off")
    return figure, f"{families(sizes)} " + "; ".join(words) + "."
