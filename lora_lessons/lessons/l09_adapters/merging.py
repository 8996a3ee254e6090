"""What 4 bits leave of a merged update: measured on the weights, before any model answers.

into the rounded base    W4 lies on its marks        W4 + ΔW snaps back unless ΔW reaches half a step
then rounded             W lies between its marks    W + ΔW crosses a boundary as often as ΔW is large
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ... import mixing, quant

# The scales of persona and plain language in the lesson's mixtures.
BLENDS = {
    "neither": (0.0, 0.0),
    "persona": (1.0, 0.0),
    "plain_language": (0.0, 1.0),
    "half_each": (0.5, 0.5),
    "both": (1.0, 1.0),
}


class Moves(NamedTuple):
    """Weights in groups by what they were asked to move: the means of what was asked, and of what each way gave."""

    asked: list[float]  # in steps: a block's absmax times the mean distance of two levels
    into_rounded: list[float]
    then_rounded: list[float]
    kept_into: float  # the share of ΔW that is left: the projection of what moved on ΔW
    kept_then: float


def moves(weights: Mapping[str, Tensor], updates: Mapping[str, Tensor], groups: int = 15) -> Moves:
    """Merge each layer's ΔW into NF4, and before NF4; compare with what was asked. Weights and updates are by layer."""
    asked, into, then, units = [], [], [], []
    for name, W in weights.items():
        delta, packed = updates[name], quant.quantize(W.bfloat16(), double=True)
        before = quant.dequantize(packed).float()
        units.append(_steps(before))
        asked.append(delta.flatten())
        into.append((quant.dequantize(mixing.merged_into_four_bits(packed, delta)).float() - before).flatten())
        merged = quant.quantize((W + delta).bfloat16(), double=True)
        then.append((quant.dequantize(merged).float() - before).flatten())
    wanted, step = torch.cat(asked), torch.cat(units)
    order = (wanted / step).argsort()
    flat = [torch.cat(moved) for moved in (asked, into, then)]
    means = [[float(part.mean()) for part in (moved / step)[order].chunk(groups)] for moved in flat]
    kept = [float((moved * wanted).sum() / wanted.square().sum()) for moved in flat[1:]]
    return Moves(means[0], means[1], means[2], kept[0], kept[1])


def _steps(W4: Tensor) -> Tensor:
    """Of every weight, how far apart two marks of its block are on average."""
    absmax = W4.reshape(-1, 64).abs().amax(1, keepdim=True)
    return (quant.levels("nf4").diff().mean() * absmax).clamp(min=1e-12).expand(-1, 64).flatten()


def kept_in_four_bits(packed: quant.Quantized, delta: Tensor, factor: float = 1.0) -> float:
    """The share of factor·ΔW that is left after merging it into `packed`: its projection on ΔW."""
    there = quant.dequantize(mixing.merged_into_four_bits(packed, factor * delta)).float()
    moved = there - quant.dequantize(packed).float()
    return float((moved * delta).sum() / delta.square().sum() / factor)


def mean_move(packed: quant.Quantized, delta: Tensor) -> float:
    """The mean change of a weight, in steps between two marks."""
    return float((delta.abs().flatten() / _steps(quant.dequantize(packed).float())).mean())


# Where the update of a QLoRA training is put; by the record's name.
PATHS = {
    "into_4_bits": "merged into 4 bits",
    "dequantized": "4 bits → 16, then merged",
    "original": "merged into the original 16 bits",
    "none": "for comparison: no adapter",
}


def on_path(path: str, W: Tensor, packed: quant.Quantized, delta: Tensor) -> Tensor:
    """The layer's weight after one of PATHS, in fp32; W is the original in 16 bits, `packed` the same in 4."""
    if path == "into_4_bits":
        return quant.dequantize(mixing.merged_into_four_bits(packed, delta)).float()
    if path == "original":
        return (W + delta).bfloat16().float()
    W4 = quant.dequantize(packed).float()
    return (W4 + delta).bfloat16().float() if path == "dequantized" else W4


def listed(rows: Sequence[Mapping[str, float | str]], titles: Mapping[str, str]) -> str:
    """The table of what survives, in words."""
    return " ".join(
        f"{titles[str(row['way'])]}: {row['kept']:.0%} of answers ({row['low']:.0%} to {row['high']:.0%}), "
        f"KL {row['kl']:.2g}, {row['bits']:.1f} bits."
        for row in rows
    )
