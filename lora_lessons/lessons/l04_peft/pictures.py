"""Pictures of lesson 04: gaps between ours and PEFT, file sizes, what a 16-bit merge loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from ...course.figures import BLUE, GREEN, GREY, ORANGE, VERMILION, label


def gaps(stages: Mapping[str, Mapping[str, float]], limit: float, rounding: float) -> Figure:
    """The largest difference of each quantity at each stage, on a log axis with a place of its own for exactly 0.

    `stages` holds {stage: {quantity: difference}}; `rounding` is one fp32 rounding step at the largest logit's size.
    """
    figure = Figure(figsize=(7.8, 4.2))
    ax = figure.subplots()
    low, zero, top = 1e-10, 2e-12, 1e3
    ax.axvspan(zero / 8, zero * 8, color="#eceef0", lw=0)
    marks = {"logits": ("o", BLUE, 0.22), "gradients": ("s", ORANGE, 0.0), "weights": ("^", GREEN, -0.22)}
    for row, found in enumerate(stages.values()):
        for quantity, value in found.items():
            mark, color, up = marks[quantity]
            ax.plot([max(value, low) if value else zero], [row - up], mark, color=color, ms=8)
    first = next(iter(stages.values()))
    for x, quantity in zip((0.02, 0.16, 0.35), first, strict=False):
        mark, color, _ = marks[quantity]
        ax.plot([x], [1.05], mark, color=color, ms=8, transform=ax.transAxes, clip_on=False)
        ax.text(x + 0.02, 1.05, quantity, color=color, weight="bold", va="center", transform=ax.transAxes)
    for x, text, color, side in (
        (rounding, "one fp32 step", GREY, "right"),
        (limit, f"limit {limit:g}", VERMILION, "left"),
    ):
        ax.axvline(x, color=color, lw=1.4, ls="--")
        label(ax, x, -0.62, text, color, xytext=(-5 if side == "right" else 5, 0), ha=side)
    ax.set(xscale="log", xlim=(zero / 8, top), ylim=(len(stages) - 0.5, -0.9))
    powers = (-8, -6, -4, -2, 0, 2)
    ax.set_xticks([zero, *(10.0**p for p in powers)], ["exactly 0", *(f"$10^{{{p}}}$" for p in powers)])
    ax.set_yticks(range(len(stages)), list(stages))
    ax.set_xlabel("largest difference between ours and PEFT (log)")
    ax.minorticks_off()
    ax.grid(axis="y", visible=False)
    return figure


def adapter_sizes(counts: Mapping[tuple[str, str], int], ranks: Sequence[int], band: tuple[float, float]) -> Figure:
    """Adapter file size in MB (log axis), one row for targets and bytes a number, a dot for each model and rank.

    `counts` holds {(model, targets): numbers at r = 1}; `band` is the page's range in MB.
    """
    figure = Figure(figsize=(7.8, 4.0))
    ax = figure.subplots()
    ax.axvspan(*band, color=GREEN, alpha=0.2, lw=0)
    rows = [(targets, width) for targets in dict.fromkeys(t for _, t in counts) for width in (2, 4)]
    models = list(dict.fromkeys(model for model, _ in counts))
    for row, (targets, width) in enumerate(rows):
        for r, color in zip(ranks, (BLUE, ORANGE, VERMILION), strict=False):
            sizes = [width * r * counts[model, targets] / 1e6 for model in models]
            for size, mark in zip(sizes, "o^s", strict=False):
                ax.plot([size], [row], mark, color=color, ms=7, markeredgecolor="white")
            if row == 0:
                label(ax, sizes[0], row, f"r = {r}", color, xytext=(0, 13), ha="center")
    label(
        ax,
        (band[0] * band[1]) ** 0.5,
        len(rows) - 0.55,
        f"the page: {band[0]}–{band[1]} MB",
        GREEN,
        xytext=(0, 0),
        ha="center",
    )
    ax.set_yticks(range(len(rows)), [f"{targets}, {'16-bit' if width == 2 else 'fp32'}" for targets, width in rows])
    shapes = ", ".join(f"{shape} {model}" for model, shape in zip(models, "●▲■", strict=False))
    ax.set(xscale="log", ylim=(len(rows) - 0.2, -0.8), xlabel=f"MB     ({shapes})")
    ax.set_xticks(ticks := (5, 10, 20, 50, 100, 200, 500), [str(t) for t in ticks])
    ax.minorticks_off()
    ax.set_title("An adapter's file for a 7B")
    return figure


def merge_errors(sizes: Sequence[float], errors: Sequence[float]) -> Figure:
    """The error of a 16-bit merge as a share of ΔW's energy, against the update's size; 1 is the adapter as trained."""
    figure = Figure(figsize=(7.2, 3.2))
    ax = figure.subplots()
    ax.plot(sizes, errors, "o-", color=BLUE)
    trained = errors[list(sizes).index(1)]
    ax.plot([1], [trained], "o", color=VERMILION, ms=10)
    label(ax, 1, trained, "as trained here", VERMILION, xytext=(10, 8))
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [f"{size:g}×" for size in sizes])
    ax.set(xlabel="size of the update", ylabel="error, share of its energy", ylim=(0, 1))
    ax.set_title("Merged into bf16 weights")
    ax.minorticks_off()
    return figure
