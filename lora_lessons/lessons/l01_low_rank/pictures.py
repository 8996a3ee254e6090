"""Pictures of lesson 01: a photograph at several ranks, spectra beside noise, perplexity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from torch import Tensor

from ... import lowrank
from ...drawing import BLUE, GREEN, GREY, VERMILION, label, show
from ...paths import course_root


def photograph() -> Tensor:
    """The course's photograph of a cat (300×451, CC0) as grey values: 0 is black, 1 is white."""
    return torch.from_numpy(imread(course_root() / "data" / "photo" / "cat.png").copy())


def photos_at_ranks(photo: Tensor, parts: lowrank.SVD, ranks: Sequence[int]) -> Figure:
    """The photograph cut to each rank, with the numbers stored as a share of its own."""
    figure, (d, k) = Figure(figsize=(8.4, 4.3)), photo.shape
    axes = figure.subplots(2, (len(ranks) + 1) // 2).flatten()
    for ax, r in zip(axes, ranks, strict=False):
        B, A = lowrank.factors(parts, r)
        stored = lowrank.stored_numbers(d, k, r)
        ax.imshow((B @ A).numpy(), cmap="gray", vmin=0, vmax=1)
        ax.set_title(f"r = {r}: {stored / (d * k):.0%} of the numbers", fontsize=10.5)
        ax.set(xticks=[], yticks=[])
    return figure


def show_photos(photo: Tensor, ranks: Sequence[int]) -> None:
    """The photograph cut to each rank, shown with its caption."""
    d, k = photo.shape
    stored = lowrank.stored_numbers(d, k, 20) / (d * k)
    even = lowrank.break_even_rank(d, k)
    caption = (
        f"the same cat from 1 to {min(d, k)} directions. At rank 20 you can recognise it, with {stored:.0%} of the "
        f"photograph's numbers. Up to rank {even} the two factors are smaller than the photograph; at full rank, "
        f"{min(d, k)}, they are larger."
    )
    show(photos_at_ranks(photo, lowrank.svd(photo), ranks), caption)


def rank_shares(shares: Mapping[str, Sequence[float]], noise: Mapping[str, float], even: Mapping[str, float]) -> Figure:
    """For each kind of matrix, one dot per layer: the share of full rank that 90% of the energy needs.

    Beside it: the same for Gaussian noise of that shape, and the break-even rank as a share of full rank.
    """
    figure = Figure(figsize=(8.4, 4.2))
    ax = figure.subplots()
    for y, (kind, dots) in enumerate(shares.items()):
        ax.plot(
            dots,
            [y + 0.5 * (i / max(len(dots) - 1, 1) - 0.5) for i in range(len(dots))],
            "o",
            color=BLUE,
            ms=4,
            alpha=0.6,
        )
        ax.plot([median(dots)] * 2, [y - 0.36, y + 0.36], color=BLUE, lw=3)
        ax.plot([noise[kind]] * 2, [y - 0.36, y + 0.36], color=GREY, lw=3)
        ax.plot([even[kind]] * 2, [y - 0.36, y + 0.36], color=VERMILION, lw=1.5, ls="--")
    (top, *_, last), bottom = shares, len(shares) - 1
    label(ax, median(shares[top]), -0.5, "median layer", BLUE, xytext=(0, 6), ha="center")
    label(ax, noise[top], 0, "noise", GREY)
    label(ax, even[last], bottom, "nothing saved", VERMILION)
    ax.set_yticks(range(len(shares)), list(shares))
    ax.set(ylim=(len(shares) - 0.4, -1.0), xlim=(0, 1), title="Fewer directions than noise needs, but still many")
    ax.set_xlabel("rank that keeps 90% of the energy, as a share of full rank (one dot per layer, first layer on top)")
    ax.grid(axis="y", visible=False)
    return figure


def perplexity_by_storage(stored: Sequence[float], perplexity: Sequence[float], intact: float, blind: int) -> Figure:
    """Perplexity (log axis) against numbers stored, with the intact base, a blind guess and break-even drawn in."""
    figure = Figure(figsize=(7.6, 4.0))
    ax = figure.subplots()
    ax.plot(stored, perplexity, "o-", color=BLUE)
    ax.axvspan(0, 1, color=GREEN, alpha=0.12, lw=0)
    for y, text, color in (
        (intact, f"the base, untouched: {intact:.0f}", GREEN),
        (blind, f"a blind guess: {blind:,}", VERMILION),
    ):
        ax.axhline(y, color=color, lw=1.4, ls="--")
        label(ax, 0, y, text, color, xytext=(6, -9))
    ax.set(yscale="log", ylim=(10, None), xlim=(0, max(stored) * 1.04))
    ax.set(xlabel="numbers stored, as a share of W's own (green: something saved)", ylabel="perplexity (log)")
    ax.set_title("Perplexity when every W is cut")
    ax.minorticks_off()
    return figure


def perplexity_by_kind(perplexity: Mapping[str, float], weights: Mapping[str, float], intact: float) -> Figure:
    """Perplexity (log axis) when one kind of matrix is cut to equal storage; `weights`: its share of all weights."""
    figure = Figure(figsize=(7.6, 3.6))
    ax = figure.subplots()
    for y, value in enumerate(perplexity.values()):
        color = GREEN if value < 1.2 * intact else VERMILION
        ax.plot([intact, value], [y, y], color=color, lw=2)
        ax.plot([value], [y], "o", color=color, ms=8)
        label(ax, value, y, f"{value:,.0f}", color, xytext=(9, 0))
    ax.axvline(intact, color=GREY, lw=1.4, ls="--")
    label(ax, intact, -0.7, f"untouched: {intact:.0f}", GREY)
    ax.set_yticks(range(len(perplexity)), [f"{kind} ({weights[kind]:.0%} of weights)" for kind in perplexity])
    ax.set(xscale="log", ylim=(len(perplexity) - 0.5, -1.1), xlabel="perplexity (log)")
    ax.set_xlim(intact * 0.7, max(perplexity.values()) * 5)
    ax.set_title("Only one kind of matrix is cut, to equal storage")
    ax.minorticks_off()
    return figure
