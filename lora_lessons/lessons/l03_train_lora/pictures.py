"""Pictures of lesson 03: the two ways to train, loss curves, memory held; and of its side trip, the update's energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...course.figures import loss_curves as loss_curves
from ...drawing import BLUE, GREEN, GREY, ORANGE, label

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


def update_energy(curves: Mapping[str, Sequence[float]], full: int, share: float = 0.9) -> Figure:
    """Energy kept against the share of the rank, one line a matrix, each named where it crosses `share`."""
    figure = Figure(figsize=(7.2, 3.8))
    ax = figure.subplots()
    ax.axhline(share, color=GREY, lw=1, ls="--")
    for place, ((name, curve), color) in enumerate(zip(curves.items(), (BLUE, ORANGE, GREY), strict=False)):
        ax.plot([i / full for i in range(len(curve) + 1)], [0, *curve], color=color)
        crossing = next(i for i, kept in enumerate(curve, 1) if kept >= share) / full
        ax.plot([crossing, crossing], [0, share], color=color, lw=1, ls=":")
        ax.plot([crossing], [share], "o", color=color)
        right = crossing > 0.5  # write on the side that has room
        side = {"xytext": (-6, 0), "ha": "right"} if right else {"xytext": (6, 0), "ha": "left"}
        label(ax, crossing, 0.06 + 0.11 * place, f"{name}: {crossing:.0%}", color, **side)
    ax.set(xlabel="share of the full rank kept", ylabel="energy kept", xlim=(0, 1), ylim=(0, 1.02))
    ax.set_title(f"How many directions hold {share:.0%} of the energy?")
    return figure


def overlaps(rows: Mapping[str, Sequence[float]]) -> Figure:
    """φ(i) for i = 1, 2 …, one line a comparison: 1 when the other span holds this one, 0 when they share nothing."""
    figure = Figure(figsize=(7.2, 3.4))
    ax = figure.subplots()
    ends = []
    for (name, values), color in zip(rows.items(), (BLUE, ORANGE, GREEN, GREY), strict=False):
        ax.plot(range(1, len(values) + 1), values, "o-", color=color, ms=5)
        ends.append((values[-1], name, color))
    place = -A_LINE / 2
    for end, name, color in sorted(ends):
        place = max(end, place + A_LINE)  # no name covers another
        label(ax, len(values), place, name, color)
    ax.set_xticks(range(1, len(values) + 1))
    ax.set(xlabel="strongest directions of rank 8 compared, i", ylabel="overlap φ with the other's top 8", ylim=(0, 1))
    ax.set_xlim(right=len(values) * 1.4)
    ax.set_title("Do two runs find the same directions?")
    return figure
