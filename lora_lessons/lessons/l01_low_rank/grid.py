"""The base's own grid: its weights were once rounded to Q4_1, 16 levels for each block of 32 (a side trip)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import lowrank
from ...drawing import BLUE, GREY, ORANGE, VERMILION, label

BLOCK, LEVELS = 32, 16


def steps(W: Tensor) -> Tensor:
    """The distance between two levels of each block of 32 weights, one column."""
    blocks = W.reshape(-1, BLOCK)
    return (blocks.amax(1, keepdim=True) - blocks.amin(1, keepdim=True)) / (LEVELS - 1)


def off_the_grid(W: Tensor) -> float:
    """The mean distance of a weight from its nearest level, in steps: 0 on the grid, 0.25 for weights that know none."""
    blocks, step = W.reshape(-1, BLOCK), steps(W).clamp_min(1e-12)
    place = (blocks - blocks.amin(1, keepdim=True)) / step
    return float((place - place.round()).abs().mean())


def dose(W: Tensor, times: float, seed: int) -> Tensor:
    """Noise as rounding makes it, up to half a step each way, `times` as strong."""
    noise = torch.rand(W.numel() // BLOCK, BLOCK, generator=torch.Generator().manual_seed(seed)) - 0.5
    return (times * steps(W) * noise).reshape(W.shape)


def block_on_its_levels(block: Tensor, noisy: Tensor) -> Figure:
    """One block of 32 weights with its 16 levels, beside Gaussian weights with theirs."""
    figure = Figure(figsize=(8.4, 3.2))
    axes = figure.subplots(1, 2, sharey=False)
    for ax, weights, color, title in zip(axes, (block, noisy), (BLUE, GREY), ("our base", "noise"), strict=True):
        low, step = float(weights.min()), float(steps(weights))
        for level in range(LEVELS):
            ax.axhline(low + level * step, color="#cfd3d7", lw=0.9)
        ax.plot(range(1, BLOCK + 1), weights.tolist(), "o", color=color, ms=5)
        ax.set(xlabel="weight, 1 to 32", title=title, xlim=(0, BLOCK + 1))
        ax.grid(visible=False)
    axes[0].set_ylabel("value (lines: 16 equal steps)")
    return figure


def rank_by_dose(ranks: Mapping[str, Sequence[int]], doses: Sequence[float], noise: Mapping[str, int]) -> Figure:
    """The rank that keeps 90% of the energy against the dose of rounding noise added, one line per matrix."""
    figure = Figure(figsize=(7.4, 3.6))
    ax = figure.subplots()
    for (name, line), color in zip(ranks.items(), (BLUE, ORANGE), strict=False):
        ax.plot(range(len(doses)), line, "o-", color=color)
        label(ax, len(doses) - 1, line[-1], name, color, xytext=(8, -9))
        ax.axhline(noise[name], color=color, lw=1, ls=":")
        label(ax, 0, noise[name], f"pure noise of that shape: {noise[name]}", color, xytext=(4, 8), size=9)
    ax.axvline(1, color=VERMILION, lw=1, ls="--")
    label(ax, 1, 40, "one more rounding", VERMILION)
    ax.set_xticks(range(len(doses)), [f"{one:g}×" for one in doses])
    ax.set(xlabel="noise added, as a multiple of what rounding added", ylabel="directions for 90% of the energy")
    ax.set(xlim=(-0.15, len(doses) - 0.2), ylim=(0, 576), title="Does rounding raise the rank?")
    return figure


def ranks90(W: Tensor, doses: Sequence[float], seed: int) -> list[int]:
    """The rank that keeps 90% of the energy after each dose."""
    return [lowrank.rank_for_energy(lowrank.svd(W + dose(W, times, seed)).S, 0.9) for times in doses]
