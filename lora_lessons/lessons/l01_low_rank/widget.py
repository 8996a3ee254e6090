"""The rank explorer: choose a matrix, slide r, and see the matrix, its error and the numbers stored.

`…_scene` works everything out, and controls stand over it; also on the web.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from torch import Tensor

from ... import lowrank
from ...course.on_the_web import live
from ...course.stage import Backdrop, Scene, Stage, choice, slider, whole
from ...drawing import BLUE, GREY, VERMILION, label

if TYPE_CHECKING:
    from ...course.stage import Stage


SHOWN = 460  # entries a side in the picture; of a larger matrix every second (third …) row or column is shown
RANKS = 60  # about as many stops has the slider, close together where the first directions are


def slider_ranks(full: int) -> list[int]:
    """1, 2, 3 … and then ever larger steps up to `full`: each stop is about as many times the last one."""
    return sorted({round(full ** (i / RANKS)) for i in range(RANKS + 1)} | set(range(1, min(full, 20) + 1)))


def rank_explorer_scene(
    W: Tensor, r: int, name: str, parts: lowrank.SVD | None = None, locked: tuple[str, ...] = (), clamp: bool = False
) -> Scene:
    """W (d×k) cut to each rank as a picture, beside its energy curve with the rank and break-even marked.

    Raises ValueError when r is outside 1 … min(d, k); with `clamp`, an r that is too large becomes the full rank.
    """
    parts, (d, k) = parts or lowrank.svd(W), W.shape
    full = len(parts.S)
    r = whole("rank r", r)
    moved = full if clamp and r > full else None
    r = moved or r
    lowrank.factors(parts, r)
    kept, even = lowrank.energy(parts.S).tolist(), lowrank.break_even_rank(d, k)
    image = bool(W.min() >= 0)  # a photograph is 0 (black) … 1; weights lie on both sides of 0
    top = 1.0 if image else 3 * float(W.std())
    figure = Figure(figsize=(8.4, 3.9))
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    left.set_title(" ")
    left.spines[:].set_visible(False)
    right.plot(range(1, full + 1), kept, color=BLUE)
    right.axvline(even, color=GREY, ls="--", lw=1.2)
    label(right, even, 0.04, "nothing saved →", GREY)
    right.set(xlabel="rank r", ylim=(0, 1.03), xlim=(0, full * 1.02), title="share of energy kept")
    stops = sorted({*slider_ranks(full), r})
    words = [_rank_words(W, stop, kept[stop - 1]) for stop in stops]
    scene = Scene(Backdrop(figure, (3.3, 2.3)), stops, words, locked, moved)
    B, A = lowrank.factors(parts, full)
    scene.product(
        left, B[:: -(-d // SHOWN)], A[:, :: -(-k // SHOWN)], "gray" if image else "RdBu_r", 0.0 if image else -top, top
    )
    scene.text(left, 0, 1.05, [f"{name}, rank {stop} of {full}" for stop in stops], "black")
    scene.dot(right, stops, [kept[stop - 1] for stop in stops], VERMILION)
    return scene


def _rank_words(W: Tensor, r: int, kept: float) -> str:
    """Energy kept, relative error (its missing part is what the error squared is), numbers stored, break-even rank."""
    d, k = W.shape
    stored = lowrank.stored_numbers(d, k, r)
    return (
        f"Rank {r} keeps {kept:.1%} of the energy; the relative error is {max(0.0, 1 - kept) ** 0.5:.3f}. "
        f"B and A hold {stored:,} numbers, {stored / (d * k):.0%} of W's {d * k:,}. "
        f"They hold fewer than W up to rank {lowrank.break_even_rank(d, k)}."
    )


def rank_explorer(matrices: Mapping[str, Tensor | Mapping[str, Tensor]], r: int = 20) -> Stage:
    """A choice of matrix and a slider for r: a matrix by its name, or a layer's matrices, by kind.

    A rank too large for the next matrix becomes its full rank;
    one typed that cannot be is answered with those that can.
    """
    kinds = list(dict.fromkeys(kind for one in matrices.values() if isinstance(one, Mapping) for kind in one))
    first = {"name": next(iter(matrices))} | ({"kind": kinds[0]} if kinds else {})
    shown: list[tuple[str, str]] = []

    @lru_cache(maxsize=4)
    def parts(name: str, kind: str) -> lowrank.SVD:
        return lowrank.svd(matrix(name, kind))

    def matrix(name: str, kind: str) -> Tensor:
        one = matrices[name]
        return one[kind] if isinstance(one, Mapping) else one

    def compose(name: str, r: int, kind: str = "") -> Scene:
        layer = isinstance(matrices[name], Mapping)
        title, locked = f"{name}, {kind}" if layer else name, () if layer or not kinds else ("kind",)
        another = shown != [(name, kind)]
        scene = rank_explorer_scene(matrix(name, kind), r, title, parts(name, kind), locked, clamp=another)
        shown[:] = [(name, kind)]
        return scene

    controls = [choice("name", "matrix", list(matrices)), *([choice("kind", "kind", kinds)] if kinds else [])]
    return Stage(compose, "r", [*controls, slider("r", "rank r")], r=r, **first)


def _rank_explorer() -> Stage:
    from ... import lora, models
    from . import measured, pictures

    base = models.load(precision="fp32")
    targets = lora.resolve_targets(base.model, "all-linear")
    W = {name: base.model.get_submodule(name).weight.detach() for name in targets}
    return rank_explorer({"photograph": pictures.photograph(), **measured.by_layer(W)})


live(
    "rank_explorer",
    "widget.rank_explorer(",
    _rank_explorer,
    {"name": ["photograph", "block 0", "block 15"]},
    apart=("name", "kind"),
    controls=3,
)
