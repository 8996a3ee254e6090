"""The illustration at the top of lesson 03: two ways to train one weight, to scale."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...drawing import BLUE, GREY, ORANGE, WIDTH


def two_ways(d: int, k: int, r: int) -> tuple[Figure, str]:
    """One d×k weight to scale, trained in full and by LoRA at rank r: what moves is coloured. And its words."""
    figure = Figure(figsize=(WIDTH, 3.7))
    ax = figure.subplots()
    gap, apart = 0.12 * k, 1.6 * k
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
    ax.text(apart + k / 2, -0.25 * d, moving, color=BLUE, ha="center", va="top", weight="bold")
    for x, title in ((k / 2, "full fine-tuning"), (apart + k / 2, f"LoRA, rank {r}")):
        ax.text(x, -0.09 * d, title, ha="center", va="top", weight="bold", size=13)
    ax.set(xlim=(-0.05 * k, apart + 1.15 * k), ylim=(-0.46 * d, d + 0.2 * d), aspect="equal")
    ax.axis("off")
    share = r * (d + k) / (d * k)
    return figure, (
        f"one {d}×{k} weight of the base, drawn to scale. Full fine-tuning moves all of its {d * k:,} numbers. "
        f"LoRA at rank {r} leaves the weight frozen and trains two thin strips beside it, A and B, "
        f"with {r * (d + k):,} numbers ({share:.1%})."
    )
