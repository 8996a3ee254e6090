"""Pictures of lesson 03: two ways to train, what each learned and holds, what survives a cut; and of its side trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...drawing import BLUE, GREEN, GREY, ORANGE, VERMILION, label

A_LINE = 0.08  # the height of a name in `overlaps`, of an axis from 0 to 1


def two_ways(d: int, k: int, r: int) -> tuple[Figure, str]:
    """One d×k weight to scale, trained in full and by LoRA at rank r: what moves is coloured. And its words."""
    figure = Figure(figsize=(7.2, 3.3))
    ax = figure.subplots()
    gap, apart = 0.12 * k, 1.75 * k
    frozen = {"facecolor": "#d5d8db", "edgecolor": GREY, "hatch": "///", "lw": 1}
    boxes: list[tuple[tuple[float, float], float, float, dict[str, Any]]] = [
        ((0, 0), k, d, {"color": ORANGE}),
        ((apart, 0), k, d, frozen),
        ((apart - gap - r, 0), r, d, {"color": BLUE}),
        ((apart, d + gap), k, r, {"color": BLUE}),
    ]
    for corner, width, height, style in boxes:
        ax.add_patch(Rectangle(corner, width, height, **style))
    white = {"facecolor": "white", "edgecolor": "none", "pad": 3}
    ax.text(k / 2, d / 2, f"all {d * k:,} numbers\nof W move", ha="center", va="center", weight="bold")
    ax.text(apart + k / 2, d / 2, "W is frozen", ha="center", va="center", weight="bold", bbox=white)
    ax.text(apart - gap - r - 0.03 * k, d / 2, "B", color=BLUE, ha="right", va="center", weight="bold", size=13)
    ax.text(apart + k + 0.04 * k, d + gap + r / 2, "A", color=BLUE, ha="left", va="center", weight="bold", size=13)
    moving = f"{r * (d + k):,} numbers\nof A and B move"
    ax.text(apart + 1.08 * k, d / 2, moving, color=BLUE, ha="left", va="center", weight="bold")
    for x, title in ((k / 2, "full fine-tuning"), (apart + k / 2, f"LoRA, rank {r}")):
        ax.text(x, -0.09 * d, title, ha="center", va="top", weight="bold", size=13)
    ax.set(xlim=(-0.05 * k, apart + 2.05 * k), ylim=(-0.25 * d, d + 0.25 * d), aspect="equal")
    ax.axis("off")
    share = r * (d + k) / (d * k)
    return figure, (
        f"one {d}×{k} weight of the base, drawn to scale. Full fine-tuning moves all of its {d * k:,} numbers. "
        f"LoRA at rank {r} leaves the weight frozen and trains two thin strips beside it, A and B, "
        f"with {r * (d + k):,} numbers ({share:.1%})."
    )


def bills(lines: Sequence[str], bytes_of: Mapping[str, Sequence[float]]) -> Figure:
    """One stacked bar a method: what it holds in memory, in MB, the name of each part on it."""
    figure = Figure(figsize=(7.2, 2.4))
    ax = figure.subplots()
    for row, parts in enumerate(bytes_of.values()):
        left = 0.0
        for name, part, color in zip(lines, parts, (GREY, ORANGE, BLUE), strict=True):
            ax.barh(row, part / 1e6, left=left, color=color, edgecolor="white")
            if part > 1.5e8:
                ink = "black" if color == ORANGE else "white"
                ax.text(left + part / 2e6, row, name, ha="center", va="center", color=ink, size=9, weight="bold")
            left += part / 1e6
        ax.text(left + 20, row, f"{left:,.0f} MB", va="center")
    ax.set_yticks(range(len(bytes_of)), list(bytes_of))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="MB held through the whole run", xlim=(0, 1.15 * max(sum(p) for p in bytes_of.values()) / 1e6))
    ax.set_title("Weights, gradients, optimizer")
    return figure


INK = {BLUE: BLUE, ORANGE: "#8a5a00", VERMILION: "#a33f00", GREY: GREY}  # fills, and the inks that words in them need


def hinge(
    energy: Mapping[str, Sequence[float]],
    cut: Mapping[int, float],
    trained: Mapping[int, float],
    W_cut: Mapping[int, float],
    ends: Mapping[str, float],
) -> Figure:
    """Above: the energy that a cut to each rank keeps. Below: the held-out loss that is left. One axis for the rank.

    `energy` holds curves of one matrix (LoRA's change, full fine-tuning's, noise), `cut` and `W_cut` the losses with
    every change, or every W itself, cut to a rank, `trained` LoRA's;
    `ends` names those of the base and of the whole change.
    """
    figure = Figure(figsize=(7.2, 6.6))
    above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (1, 1.25)})
    _energies(above, energy)
    _losses(below, cut, trained, W_cut, ends)
    for ax in (above, below):
        ax.axvline(8, color=GREY, lw=1, ls=":")
    most = max(map(len, energy.values()))
    below.set_xscale("log", base=2)
    ticks = [r for r in (1, 2, 4, 8, 16, 64, 256) if r <= most]
    below.set_xticks(ticks, [str(r) for r in ticks])
    below.set(xlabel="rank: directions kept of each matrix", xlim=(0.85, 1.1 * most))
    return figure


def _energies(ax: Any, energy: Mapping[str, Sequence[float]]) -> None:
    named = zip(
        energy.items(), (BLUE, ORANGE, GREY), ((12, -10, "left"), (-10, 8, "right"), (8, -16, "left")), strict=True
    )
    for (name, curve), color, (x, y, side) in named:
        ax.plot(range(1, len(curve) + 1), [100 * kept for kept in curve], color=color)
        at = 3 if color == BLUE else len(curve) // 12
        label(ax, at, 100 * curve[at - 1], name, INK[color], xytext=(x, y), ha=side)
    ax.set(ylabel="energy kept, %", ylim=(0, 104))
    ax.set_title("By energy, full fine-tuning's change is not of low rank …")


def _losses(
    ax: Any,
    cut: Mapping[int, float],
    trained: Mapping[int, float],
    W_cut: Mapping[int, float],
    ends: Mapping[str, float],
) -> None:
    (worst_name, worst), (best_name, best) = ends.items()
    ranks, top = sorted(cut), worst + 0.75
    for level, name in ((worst, worst_name), (best, best_name)):
        ax.axhline(level, color=GREY, lw=1.2, ls="--")
        label(ax, 540, level, f"{name} {level:.2f}", GREY, xytext=(0, 9), ha="right")
    ax.plot(ranks, [cut[r] for r in ranks], "o-", color=ORANGE, ms=8)
    ax.plot(ranks, [trained[r] for r in ranks], "s-", color=BLUE, ms=7)
    ax.plot(ranks, [top - 0.13] * len(ranks), "^", color=VERMILION, ms=9)
    for r in ranks:
        label(ax, r, top - 0.13, f"{W_cut[r]:.1f}", INK[VERMILION], xytext=(9, 0))
    label(ax, ranks[0], top - 0.13, "W itself, cut: off the scale", INK[VERMILION], xytext=(-4, -17))
    label(ax, ranks[0], cut[ranks[0]], "full fine-tuning's change, cut", INK[ORANGE], xytext=(10, 9))
    label(ax, ranks[0], trained[ranks[0]], "LoRA, trained at that rank", BLUE, xytext=(-4, -16))
    ax.set(ylabel="held-out loss, nats", ylim=(best - 0.45, top))
    ax.set_title("… by its effect, it nearly is")


def held_out(losses: Mapping[str, float], colors: Sequence[str] = (GREY, BLUE, ORANGE)) -> Figure:
    """The held-out loss of each model as one dot on one line: what was claimed, and nothing else."""
    figure = Figure(figsize=(7.2, 1.9))
    ax = figure.subplots()
    for row, ((_, loss), color) in enumerate(zip(losses.items(), colors, strict=True)):
        ax.plot([loss], [row], "o", color=color, ms=11)
        label(ax, loss, row, f"{loss:.2f}", "black", xytext=(11, 0))
    ax.set_yticks(range(len(losses)), list(losses))
    ax.invert_yaxis()
    low, high = min(losses.values()), max(losses.values())
    ax.set(
        xlabel="held-out loss, nats (lower is better)", xlim=(low - 0.25, high + 0.35), ylim=(len(losses) - 0.5, -0.5)
    )
    return figure


def overlaps(rows: Mapping[str, Sequence[float]]) -> Figure:
    """φ(i) for i = 1, 2 …, one line a comparison: 1 when the other span holds this one, 0 when they share nothing."""
    figure = Figure(figsize=(7.2, 3.4))
    ax = figure.subplots()
    ends = []
    for (name, values), color in zip(rows.items(), (BLUE, ORANGE, GREEN, VERMILION, GREY), strict=False):
        ax.plot(range(1, len(values) + 1), values, "o-", color=color, ms=5)
        ends.append((values[-1], name, color))
    place = -A_LINE / 2
    for end, name, color in sorted(ends):
        place = max(end, place + A_LINE)  # no name covers another
        label(ax, len(values), place, name, color)
    ax.set_xticks(range(1, len(values) + 1))
    ax.set(xlabel="strongest directions of rank 8 compared, i", ylabel="overlap φ with the other's top 8", ylim=(0, 1))
    ax.set_xlim(right=len(values) * 1.4)
    ax.set_title("The strongest written direction is shared, the rest less")
    return figure
