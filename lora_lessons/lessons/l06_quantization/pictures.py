"""Pictures of lesson 06, each with its sentences: a corner rounded twice, levels and the weights on them, errors, bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from statistics import fmean, median
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import quant
from ...drawing import BLUE, GREY, ORANGE, SKY, VERMILION, label
from ...experiments import sweep

COLORS = (BLUE, SKY, VERMILION, ORANGE)
CORNER = (48, 64)


def three_patches(W: Tensor, one_ruler: Tensor, in_blocks: Tensor) -> tuple[Figure, str]:
    """The same corner of W, of W rounded with one ruler, and of W rounded in blocks; one colour scale for all three."""
    rows, columns = CORNER
    panels = {"32 bits": W, "4 bits, one ruler": one_ruler, "4 bits, NF4 in blocks of 64": in_blocks}
    figure = Figure(figsize=(8.8, 2.75))
    limit = float(W[:rows, :columns].abs().quantile(0.99))
    for ax, (name, panel) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        ax.imshow(panel[:rows, :columns], cmap="PuOr", vmin=-limit, vmax=limit, interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.set_title(name, fontsize=11)
    empty = {name: (panel[:rows, :columns] == 0).float().mean() for name, panel in list(panels.items())[1:]}
    words = (
        f"A corner of {rows}×{columns} weights, negative ones orange, positive ones purple, 0 white. With one ruler "
        f"{empty['4 bits, one ruler']:.0%} of them are exactly 0; with NF4 in blocks {empty['4 bits, NF4 in blocks of 64']:.0%} are."
    )
    return figure, words


def shares_of_levels(shares: Mapping[str, tuple[Tensor, Tensor]]) -> tuple[Figure, str]:
    """For each way to round, its levels (between −1 and 1) and the share of all weights that falls on each."""
    figure = Figure(figsize=(8.4, 1.1 + 1.25 * len(shares)))
    axes = figure.subplots(len(shares), 1, sharex=True, squeeze=False)[:, 0]
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
    words = " ".join(
        f"{way}: the busiest level holds {share.max():.0%} of the weights, the emptiest {share.min():.1%}."
        for way, (_, share) in shares.items()
    )
    return figure, words


def bell_and_levels(codebooks: Mapping[str, Tensor], scaled: Tensor) -> tuple[Figure, str]:
    """The bell that NF4 assumes (its 97% quantile at 1), the weights of real blocks over it, and each codebook's levels below."""
    figure = Figure(figsize=(8.4, 3.6))
    ax = figure.subplots()
    x = torch.linspace(-1, 1, 400)
    z = torch.special.ndtri(torch.tensor(0.9677083)) * x
    counts, edges = torch.histogram(scaled.flatten().float().cpu(), bins=41, range=(-1.0, 1.0))
    bell = torch.exp(-z.square() / 2)
    ax.stairs(counts / counts.mean() * bell.mean(), edges, fill=True, color=GREY, alpha=0.35)  # both have one area
    ax.plot(x, bell, color=SKY)
    label(ax, 0.5, 0.8, "the bell that NF4 assumes", BLUE, xytext=(0, 0))
    label(ax, 0, 0.4, "weights of the matrix", "#3c4043", ha="center", xytext=(0, 0))
    for n, ((name, table), color) in enumerate(zip(codebooks.items(), (BLUE, ORANGE, VERMILION), strict=False)):
        ax.plot(table, [-0.14 - 0.2 * n] * len(table), "|", color=color, ms=15, mew=2.5)
        label(ax, 1, -0.14 - 0.2 * n, name, color, xytext=(12, 0))
    ax.set(xlim=(-1.05, 1.3), ylim=(-0.2 - 0.2 * len(codebooks), 1.48), yticks=[])
    ax.set_xlabel("weight, as a part of its block's absmax")
    ax.set_title("Levels where the weights are, or evenly")
    ax.grid(visible=False)
    nf4 = codebooks["NF4"]
    words = (
        f"NF4's levels stand close together near 0, {nf4[8]:.3f} apart, and up to {nf4[15] - nf4[14]:.3f} apart outside; int4's are "
        "evenly spaced, 0.143 apart; FP4 has a few very close to 0 and large gaps outside. Half of the weights lie within "
        f"{scaled.abs().quantile(0.5):.2f} of 0; of the bell, half lies within {_half_of_the_bell():.2f}."
    )
    return figure, words


def _half_of_the_bell() -> float:
    """The distance from 0 that holds half of a bell which ends at its 97% quantile, as a part of that quantile."""
    last = 0.9677083
    return float(torch.special.ndtri(torch.tensor(0.5 + (last - 0.5) / 2)) / torch.special.ndtri(torch.tensor(last)))


def errors_by_codebook(errors: Mapping[str, Sequence[float]], noise: Mapping[str, float]) -> tuple[Figure, str]:
    """Relative error: one dot per matrix, one row per codebook; a grey bar is normal noise of one such shape."""
    figure = Figure(figsize=(8.4, 0.9 + 0.75 * len(errors)))
    ax = figure.subplots()
    for y, ((name, dots), color) in enumerate(zip(errors.items(), COLORS, strict=False)):
        spread = [y + 0.5 * ((7 * i) % len(dots) / len(dots) - 0.5) for i in range(len(dots))]
        ax.plot(dots, spread, "o", color=color, ms=3, alpha=0.5)
        ax.plot([median(dots)] * 2, [y - 0.38, y + 0.38], color=color, lw=3)
        ax.plot([noise[name]] * 2, [y - 0.38, y + 0.38], color=GREY, lw=2, ls="--")
    last = list(errors)[-1]
    label(ax, noise[last], len(errors) - 0.6, "normal noise", GREY, xytext=(-6, 0), ha="right")
    label(ax, median(errors[last]), len(errors) - 0.6, "median matrix", ORANGE)
    ax.set_yticks(range(len(errors)), list(errors))
    ax.set(ylim=(len(errors) - 0.35, -0.6), xlabel="relative error ‖W − rounded W‖ / ‖W‖, one dot per matrix")
    ax.set_title("How far off the weights are")
    ax.grid(axis="y", visible=False)
    words = " ".join(
        f"{name}: median {median(dots):.3f}, normal noise {noise[name]:.3f}." for name, dots in errors.items()
    )
    return figure, words


def rises_by_passage(rises: Mapping[str, Sequence[float]]) -> tuple[Figure, str]:
    """How far the loss rose: one dot per passage, its dots joined from row to row, and each row's mean with its 95% interval."""
    figure = Figure(figsize=(8.4, 0.9 + 0.75 * len(rises)))
    ax = figure.subplots()
    for passage in zip(*rises.values(), strict=True):
        ax.plot(passage, range(len(rises)), "-", color="#c4c8cc", lw=1, zorder=1)
    for y, ((_, dots), color) in enumerate(zip(rises.items(), COLORS, strict=False)):
        one = sweep.summary(dots)
        ax.plot(dots, [y] * len(dots), "o", color=color, ms=4, alpha=0.55, zorder=2)
        ax.plot([one.low, one.high], [y + 0.24] * 2, color=color, lw=3)
        ax.plot([one.mean], [y + 0.24], "s", color=color, ms=7)
        label(ax, one.high, y + 0.24, f"{one.mean:.2f}", "black", size=10)
    ax.set_yticks(range(len(rises)), list(rises))
    ax.set(ylim=(len(rises) - 0.4, -0.4), xlim=(0, None))
    ax.set_xlabel("rise of the loss in nats per token: one dot per passage, the mean with its 95% interval below")
    ax.set_title("How much the model notices")
    ax.grid(axis="y", visible=False)
    summaries = {name: sweep.summary(dots) for name, dots in rises.items()}
    words = " ".join(
        f"{name}: mean {one.mean:.2f}, 95% interval {one.low:.2f} to {one.high:.2f}." for name, one in summaries.items()
    )
    return figure, words


def weights_against_meaning(ranked: Mapping[str, Mapping[str, Any]]) -> tuple[Figure, str]:
    """One dot per way to round: how far the weights are off, and how far the sentence embeddings moved."""
    figure = Figure(figsize=(8.4, 4.4))
    ax = figure.subplots()
    words, above = [], -1.0
    for name, row in sorted(ranked.items(), key=lambda item: fmean(item[1]["moved"])):
        x, one = row["error"], sweep.summary(row["moved"])
        color = BLUE if name.startswith("NF4") else VERMILION if name == "FP4" else ORANGE
        ax.plot([x, x], [one.low, one.high], color=color, lw=1.5, alpha=0.6)
        ax.plot([x], [one.mean], "o", color=color, ms=7)
        above = max(above + 0.0026, one.mean)  # names one below the other where dots lie close
        label(ax, x, above, f"{name} ({row['bits']:.3g} bits)", "black", size=9, xytext=(9, 0))
        words.append(f"{name}: error {x:.4f}, moved {one.mean:.4f}.")
    ax.set(xlabel="relative error of the weights, mean over the matrices", ylabel="embeddings moved (1 − cosine)")
    ax.set_title("Weights and what the model makes of them")
    left, right = ax.get_xlim()
    ax.set(xlim=(left, right + 0.35 * (right - left)), ylim=(0, None))
    return figure, " ".join(words)


def bits_of_a_parameter(packed: Mapping[str, quant.Quantized]) -> tuple[Figure, str]:
    """One bar per format, 16 bits first: bits of the code itself, and the parameter's share of the scales."""
    rows = {"16-bit": (16.0, 0.0)}
    for name, q in packed.items():
        code = 8 * q.packed.nbytes / prod(q.shape)
        rows[name] = (code, q.bits - code)
    figure = Figure(figsize=(8.4, 0.8 + 0.5 * len(rows)))
    ax = figure.subplots()
    for y, (code, scales) in enumerate(rows.values()):
        ax.barh(y, code, color=BLUE, height=0.6)
        ax.barh(y, scales, left=code, color=ORANGE, height=0.6)
        shared = f", {scales:.3g} of them for scales" if scales else ""
        label(ax, code + scales, y, f"{code + scales:.4g} bits{shared}", "black")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.invert_yaxis()
    ax.set(xlim=(0, 19), xlabel="bits per parameter (orange: its share of the scales)")
    ax.grid(axis="y", visible=False)
    words = "16 bits become " + ", and ".join(
        f"{code + scales:.3f} as {name}" for name, (code, scales) in list(rows.items())[1:]
    )
    return figure, f"{words}."
