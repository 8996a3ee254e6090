"""Pictures of lesson 06: levels and the weights on them, errors by codebook, bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...course.figures import BLUE, GREY, ORANGE, SKY, VERMILION, label
from ...course.pictures import intervals as intervals


def shares_of_levels(shares: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """For each way to round, its levels (between −1 and 1) and the share of all weights that falls on each."""
    figure = Figure(figsize=(8.4, 1.1 + 1.25 * len(shares)))
    axes = figure.subplots(len(shares), 1, sharex=True)
    for ax, (name, (table, share)), color in zip(axes, shares.items(), (VERMILION, ORANGE, BLUE), strict=False):
        ax.vlines(table, 0, share, color=color, lw=5)
        ax.plot(table, [0] * len(table), "|", color="black", ms=9)
        busiest = int(share.argmax())
        label(ax, float(table[busiest]), float(share[busiest]), f"{share[busiest]:.0%}", color, xytext=(5, -4))
        ax.text(0.0, 1.0, name, transform=ax.transAxes, weight="bold", va="top")
        ax.set(ylim=(0, 1.25 * float(share[busiest])), yticks=[])
        ax.grid(visible=False)
    axes[-1].set_xlabel("level, as a part of the absmax (black ticks: all there are)")
    figure.suptitle("How many weights fall on each level", x=0.01, ha="left", weight="bold")
    return figure


def bell_and_levels(codebooks: Mapping[str, Tensor]) -> Figure:
    """The normal curve over −1 … 1 (its 97% quantile at 1), and below it where each codebook puts its levels."""
    figure = Figure(figsize=(8.4, 3.2))
    ax = figure.subplots()
    x = torch.linspace(-1, 1, 400)
    z = torch.special.ndtri(torch.tensor(0.9677083)) * x
    ax.fill_between(x, torch.exp(-z.square() / 2), color=SKY, alpha=0.35, lw=0)
    label(ax, 0, 0.55, "the bell that NF4 assumes", GREY, ha="center", xytext=(0, 0))
    for n, ((name, table), color) in enumerate(zip(codebooks.items(), (BLUE, ORANGE, VERMILION), strict=False)):
        ax.plot(table, [-0.14 - 0.2 * n] * len(table), "|", color=color, ms=15, mew=2.5)
        label(ax, 1, -0.14 - 0.2 * n, name, color, xytext=(12, 0))
    ax.set(xlim=(-1.05, 1.3), ylim=(-0.2 - 0.2 * len(codebooks), 1.05), yticks=[])
    ax.set_xlabel("weight, as a part of its block's absmax")
    ax.set_title("Levels where the weights are, or evenly")
    ax.grid(visible=False)
    return figure


def errors_by_codebook(errors: Mapping[str, Sequence[float]], noise: Mapping[str, float]) -> Figure:
    """Relative error, a dot a matrix, one row a codebook; a grey bar is normal noise of the same shapes."""
    figure = Figure(figsize=(8.4, 0.9 + 0.75 * len(errors)))
    ax = figure.subplots()
    for y, ((name, dots), color) in enumerate(zip(errors.items(), (BLUE, SKY, VERMILION, ORANGE), strict=False)):
        spread = [y + 0.5 * ((7 * i) % len(dots) / len(dots) - 0.5) for i in range(len(dots))]
        ax.plot(dots, spread, "o", color=color, ms=3, alpha=0.5)
        ax.plot([median(dots)] * 2, [y - 0.38, y + 0.38], color=color, lw=3)
        ax.plot([noise[name]] * 2, [y - 0.38, y + 0.38], color=GREY, lw=2, ls="--")
    last = list(errors)[-1]
    label(ax, noise[last], len(errors) - 0.6, "normal noise", GREY, xytext=(-6, 0), ha="right")
    label(ax, median(errors[last]), len(errors) - 0.6, "median matrix", ORANGE)
    ax.set_yticks(range(len(errors)), list(errors))
    ax.set(ylim=(len(errors) - 0.35, -0.6), xlabel="relative error ‖W − rounded W‖ / ‖W‖, a dot a matrix of the base")
    ax.set_title("How far off the weights are")
    ax.grid(axis="y", visible=False)
    return figure


def bits_of_a_parameter(rows: Mapping[str, tuple[float, float]]) -> Figure:
    """One bar a format: bits of the number itself, and its share of the scales."""
    figure = Figure(figsize=(8.4, 0.8 + 0.5 * len(rows)))
    ax = figure.subplots()
    for y, (code, scales) in enumerate(rows.values()):
        ax.barh(y, code, color=BLUE, height=0.6)
        ax.barh(y, scales, left=code, color=ORANGE, height=0.6)
        label(ax, code + scales, y, f"{code + scales:.4g} bits", "black")
    (last, (code, scales)) = list(rows.items())[1]
    label(ax, code + scales / 2, 1.42, "scales", "#8a5f00", xytext=(0, 0), ha="center")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.invert_yaxis()
    ax.set(xlim=(0, 19), xlabel="bits a parameter")
    ax.grid(axis="y", visible=False)
    return figure
