"""Pictures of lesson 10: each file's size against how far its logits drift."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from ...course.figures import BLUE, GREY, VERMILION, label


def drift_by_size(
    files: Mapping[str, tuple[float, float]], wrong: Mapping[str, tuple[float, float]], limit: float
) -> Figure:
    """Each file's MB and its largest |Δlogit| from PEFT (log axis); `wrong` holds files that should not be shipped."""
    figure = Figure(figsize=(8.4, 4.2))
    ax = figure.subplots()
    ax.axhline(limit, color=GREY, lw=1.4, ls="--")
    largest = max(mb for mb, _ in {**files, **wrong}.values())
    label(ax, 0.45 * largest, limit, f"limit for F32: {limit:g}", GREY, xytext=(0, -10))
    for group, color, mark in ((files, BLUE, "o"), (wrong, VERMILION, "X")):
        for name, (mb, gap) in group.items():
            ax.plot([mb], [gap], mark, color=color, ms=10)
            right = mb < 0.7 * largest
            label(ax, mb, gap, name, color, xytext=(9 if right else -9, 0), ha="left" if right else "right")
    ax.set(yscale="log", xlim=(0, 1.08 * largest), xlabel="MB of the file, or of base and adapter")
    ax.set_ylabel("largest difference of a logit (log)")
    ax.set_title("What llama.cpp answers, against PEFT")
    return figure
