"""The rank explorer: slide r, and see the matrix, its error and the numbers stored.

`…_scene` works everything out, `…_still` draws it, and controls stand over it.
"""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from torch import Tensor

from ... import lowrank
from ...course.figures import BLUE, GREY, VERMILION, label
from ...course.stage import Backdrop, Scene, Stage, choice, slider, whole

SHOWN = 460  # entries a side in the picture; of a larger matrix every second (third …) row or column is shown


def rank_explorer_scene(W: Tensor, r: int, name: str) -> Scene:
    """W (d×k) cut to each rank as a picture, beside its energy curve with the rank and break-even marked.

    Raises ValueError when r is outside 1 … min(d, k).
    """
    parts, (d, k) = lowrank.svd(W), W.shape
    full = len(parts.S)
    lowrank.factors(parts, whole("rank r", r))
    kept, even = lowrank.energy(parts.S).tolist(), lowrank.break_even_rank(d, k)
    image = bool(W.min() >= 0)  # a photograph is 0 (black) … 1; weights lie on both sides of 0
    top = 1.0 if image else 3 * float(W.std())
    figure = Figure(figsize=(8.4, 3.9))
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    left.set_title(" ")
    left.spines[:].set_visible(False)
    stops = range(1, full + 1)
    right.plot(stops, kept, color=BLUE)
    right.axvline(even, color=GREY, ls="--", lw=1.2)
    label(right, even, 0.04, "nothing saved →", GREY)
    right.set(xlabel="rank r", ylim=(0, 1.03), xlim=(0, full * 1.02), title="share of energy kept")
    scene = Scene(Backdrop(figure), list(stops), [_rank_words(W, stop, kept[stop - 1]) for stop in stops])
    B, A = lowrank.factors(parts, full)
    scene.product(
        left, B[:: -(-d // SHOWN)], A[:, :: -(-k // SHOWN)], "gray" if image else "RdBu_r", 0.0 if image else -top, top
    )
    scene.text(left, 0, 1.05, [f"{name}, rank {stop} of {full}" for stop in stops], "black")
    scene.dot(right, list(stops), kept, VERMILION)
    return scene


def _rank_words(W: Tensor, r: int, kept: float) -> str:
    """Energy kept, relative error (its missing part is what the error squared is), numbers stored, break-even rank."""
    d, k = W.shape
    stored = lowrank.stored_numbers(d, k, r)
    return (
        f"Rank {r}: kept energy {kept:.1%}, relative error {max(0.0, 1 - kept) ** 0.5:.3f}. "
        f"B and A hold {stored:,} numbers, {stored / (d * k):.0%} of W's {d * k:,}. "
        f"Break-even rank: {lowrank.break_even_rank(d, k)}."
    )


def rank_explorer_still(W: Tensor, r: int, name: str) -> tuple[Figure, str]:
    """The picture of `rank_explorer_scene` at rank r, and its sentence."""
    return rank_explorer_scene(W, r, name).still(r)


def rank_explorer(matrices: Mapping[str, Tensor], r: int = 20) -> Stage:
    """A choice of matrix and a slider for r; a rank that the matrix cannot have is answered with those it can."""
    first = next(iter(matrices))
    controls = [choice("name", "matrix", list(matrices)), slider("r", "rank r")]
    return Stage(lambda name, r: rank_explorer_scene(matrices[name], r, name), "r", controls, name=first, r=r)
