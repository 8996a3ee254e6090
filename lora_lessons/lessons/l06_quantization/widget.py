"""The codebook bench: choose weights, codebook and block size, and slide an outlier.

`…_scene` works everything out, and controls stand over it; also on the web.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import quant
from ...course.on_the_web import live
from ...course.stage import Backdrop, Scene, Stage, choice, slider
from ...drawing import BLUE, GREY, VERMILION, label

if TYPE_CHECKING:
    from ...course.stage import Stage


BLOCKS = ("32", "64", "128", "256", "1024", "4096")
BENCH = 4096  # weights on the bench: one block at the most, 128 at the least
OUTLIERS = (0, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # sizes of the outlier in standard deviations; 0 is none
PLACE = 17  # where in the first block it stands


class Bench(NamedTuple):
    """What became of the weights on the bench, all in units of their standard deviation."""

    weights: Tensor  # (BENCH,), the outlier among them
    back: Tensor  # (BENCH,), what 4 bits gave back
    near: float  # relative error of the outlier's block, the outlier itself left out
    far: float | None  # of all other blocks; None where there is no other
    used: int  # levels that occur in the outlier's block


def codebook_bench_run(W: Tensor, codebook: str, blocksize: int, outlier: float) -> Bench:
    """The first BENCH weights of W, one of them made `outlier` standard deviations large (0: left alone),
    to 4 bits and back.

    Raises ValueError where W is too small, or a setting cannot be.
    """
    if W.numel() < BENCH:
        raise ValueError(f"the bench holds {BENCH:,} weights, and this matrix has {W.numel():,}: choose a larger one.")
    weights = W.detach().reshape(-1)[:BENCH].float().cpu().clone()
    if not weights.std() > 0:
        raise ValueError("all weights on the bench are equal, so there is no spread to round. Choose another matrix.")
    weights /= weights.std()
    if outlier:
        weights[PLACE] = outlier
    q = quant.quantize(weights, codebook, blocksize)
    back, others = quant.dequantize(q), torch.arange(BENCH) != PLACE
    block = torch.arange(BENCH) < blocksize

    def error(where: Tensor) -> float:
        return float((weights - back)[where].norm() / weights[where].norm())

    far = error(~block) if blocksize < BENCH else None
    used = len(quant.unpack(q.packed)[:blocksize].unique())
    return Bench(weights, back, error(block & others), far, used)


@cache
def _bench() -> tuple[Backdrop, Any, Any]:
    figure = Figure(figsize=(8.8, 4.0))
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    left.plot([-4, 4], [-4, 4], color="#b9bec3", lw=1)
    label(left, 4, 3.8, "nothing lost", GREY, xytext=(-4, -14), ha="right")
    left.set(xlim=(-4.2, 4.2), ylim=(-4.2, 4.2), xlabel="weight (standard deviations)", ylabel="what came back")
    left.set_title("Where each weight falls")
    right.set(xlim=(0, 1.55), ylim=(1.6, -0.85), xlabel="relative error (0: none, 1: all lost)")
    names = right.set_yticks([0, 1], ["the first block,\nthe outlier's", "all other\nblocks"])
    for name, color in zip(names, (VERMILION, BLUE), strict=True):
        name.label1.set(color=color, weight="bold")
    right.set_title("How far off they are")
    right.grid(axis="y", visible=False)
    return Backdrop(figure, (3.4, 2.6)), left, right


def codebook_bench_scene(weights: Tensor, codebook: str, blocksize: str | int, outlier: float) -> Scene:
    """Each weight against what 4 bits give back, for every size of one outlier; red are its block's, blue all others.

    Raises ValueError with what to change when a setting cannot be.
    """
    if str(blocksize) not in BLOCKS:
        raise ValueError(f"the bench has blocks of {', '.join(BLOCKS)}; got {blocksize!r}.")
    blocksize = int(blocksize)
    if not isinstance(outlier, (int, float)) or isinstance(outlier, bool) or not 0 <= outlier <= 1000:
        raise ValueError(f"the outlier is a size in standard deviations, 0 (none) to 1000; got {outlier!r}.")
    stops = sorted({*OUTLIERS, outlier})
    runs = [codebook_bench_run(weights, codebook, blocksize, stop) for stop in stops]
    backdrop, left, right = _bench()
    scene = Scene(
        backdrop, stops, [_bench_words(run, codebook, blocksize, stop) for run, stop in zip(runs, stops, strict=True)]
    )
    drawn = [i for i in (*range(BENCH - 1, 0, -64), *range(0, blocksize, max(1, blocksize // 64))) if i != PLACE]
    for i in dict.fromkeys(drawn):
        color = VERMILION if i < blocksize else BLUE
        scene.dot(left, float(runs[0].weights[i]), [float(run.back[i]) for run in runs], color, size=4)
    near, far = [run.near for run in runs], [run.far for run in runs]
    for y, color, errors, count in ((0, VERMILION, near, blocksize), (1, BLUE, far, BENCH - blocksize)):
        widths = [error or 0.0 for error in errors]
        scene.bar(right, 0, y - 0.2, widths, 0.4, color)
        texts = ["there are none" if error is None else f"{error:.0%}, {count:,} weights" for error in errors]
        scene.text(right, 0, y - 0.34, texts, color, size=11)
    levels = len(quant.levels(codebook))
    scene.text(right, 0, 0.34, [f"{run.used} of {levels} levels in use there" for run in runs], VERMILION, size=10)
    return scene


def _bench_words(run: Bench, codebook: str, blocksize: int, outlier: float) -> str:
    what = f"One weight is made {outlier:g} standard deviations large." if outlier else "There is no outlier."
    what_else = f"not counting the outlier ({blocksize - 1:,} neighbours)" if outlier else f"{blocksize:,} weights"
    far = "" if run.far is None else f" In all other blocks: {run.far:.1%}."
    return (
        f"{codebook.upper()}, blocks of {blocksize}, {quant.bits_per_parameter(blocksize):.4g} bits per parameter. "
        f"{what} Relative error of its {'block' if outlier else 'first block'}, {what_else}: {run.near:.1%}, with "
        f"{run.used} of {len(quant.levels(codebook))} levels in use.{far}"
    )


def codebook_bench(matrices: Mapping[str, Tensor]) -> Stage:
    """Choose weights, codebook and block size; the slider makes one weight an outlier."""
    controls = [
        choice("weights", "weights", list(matrices)),
        choice("codebook", "codebook", quant.CODEBOOKS),
        choice("blocksize", "block size", BLOCKS),
        slider("outlier", "outlier"),
    ]

    def compose(weights: str, codebook: str, blocksize: str, outlier: float) -> Scene:
        return codebook_bench_scene(matrices[weights], codebook, blocksize, outlier)

    return Stage(compose, "outlier", controls, weights=next(iter(matrices)), codebook="nf4", blocksize="64", outlier=16)


def _codebook_bench() -> Stage:
    import torch
    from torch import nn

    from ... import models

    base = models.load(precision="fp32")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        matrices = {
            "q_proj of block 10": base.model.get_submodule("model.layers.10.self_attn.q_proj").weight.detach(),
            "normal noise": torch.randn(4096),
            "fresh nn.Linear": nn.Linear(64, 64).weight,
        }
    return codebook_bench(matrices)


live("codebook_bench", "widget.codebook_bench(", _codebook_bench, controls=4)
