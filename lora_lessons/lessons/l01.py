"""Lesson 01: How much of a matrix can you throw away?

After it, the learner can cut a matrix to rank r and say what is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from torch import Tensor

from .. import lowrank
from ..course.exercises import answered, by, exercise, one_number, tried, wrong_if, wrong_like
from ..course.on_the_web import live
from ..course.stage import Backdrop, Scene, Stage, choice, slider, whole
from ..drawing import BLUE, GREY, VERMILION, label
from ..paths import course_root

# ---- exercises ----


@exercise("01.1", "A cut on paper", difficulty=1, minutes=3)
def exercise_01_1(answer: Callable[[], Any]) -> None:
    value = answered(answer())
    cut = tried(
        lambda: torch.as_tensor(value, dtype=torch.float32),
        (Exception, "", "Return three rows of three numbers: [[…, …, …], […, …, …], […, …, …]]."),
    )
    wrong_if((cut.shape != (3, 3), f"The cut matrix is 3×3, as W is; yours is {by(cut.shape) or 'one number'}."))
    pets, fish, apart = (
        weight * torch.outer(torch.tensor(pattern), torch.tensor(pattern))
        for weight, pattern in ((3, [1.0, 1.0, 0.0]), (2, [0.0, 0.0, 1.0]), (0.5, [1.0, -1.0, 0.0]))
    )
    W, first = pets + fish + apart, torch.tensor([1.0, 0, 0])
    wrong_like(
        cut,
        (W, "That is W itself, with all three directions. Keep only the strongest."),
        (pets + fish, "That is rank 2: you kept the two strongest directions. For rank 1 keep one."),
        (pets + apart, "You removed the direction of strength 2 and kept the one of strength 1. For rank 1 both go."),
        (fish, "You kept the second direction. The strongest is the one with strength 6."),
        (apart, "You kept the weakest direction. The strongest is the one with strength 6."),
        (pets / 3, "Column and row are right; the factor in front, 3, is missing."),
        (2 * pets, "6 is the strength. The factor in front is 3: column and row are √2 long each, and 3·√2·√2 = 6."),
        (torch.diag(torch.diag(W)), "You kept the diagonal, which has rank 3. A direction is a column times a row."),
        (torch.outer(W[:, 0], first), "You kept one column of W. A direction fills the whole table."),
        (torch.outer(first, W[0]), "You kept one row of W. A direction fills the whole table."),
        atol=1e-3,
    )
    other = "Multiply the column (1, 1, 0) by the row (1, 1, 0), which gives nine numbers, and each of them by 3."
    wrong_if((not torch.allclose(cut, pets, atol=1e-3), other))


@exercise("01.2", "Where storage breaks even", difficulty=1, minutes=3)
def exercise_01_2(answer: Callable[[int, int], int]) -> None:
    for d, k in ((576, 1536), (576, 576), (3, 7), (300, 451)):
        value, right = one_number(answer(d, k)), lowrank.break_even_rank(d, k)
        wrong_if(
            (value % 1, f"A rank is a whole number, and for {d}×{k} you return {round(value, 3)}: divide with //.")
        )
        square = f"Half of a side is right only for square matrices. Try {d}×{k}: r·(d + k) < d·k."
        mistakes = {
            d * k: f"That is d·k, the size of W. For which r does r·(d + k) stay below it, with {d}×{k}?",
            d + k: "That is d + k, the numbers that one direction costs. How many of those fit into d·k?",
            k - 1: "You seem to have counted B (d×r) alone. A (r×k) is stored too: r·(d + k) numbers in all.",
            min(d, k): "That is the full rank. There B and A hold more numbers than W.",
            (min(d, k) - 1) // 2: square,
            min(d, k) // 2: square,
            d * k / (d + k): f"At r = {value} B and A hold exactly as many numbers as a {d}×{k} W: go one lower there.",
        }
        other = f"For {d}×{k} the largest rank that saves numbers is {right}, and you return {value}: r·(d + k) < d·k."
        wrong_if((value != right, mistakes.get(value, other)))


@exercise("01.3", "The best rank-r approximation", difficulty=2, minutes=6, keeps="best_rank_r")
def exercise_01_3(answer: Callable[[Tensor, int], Tensor]) -> None:
    W = torch.randn(12, 20, generator=torch.Generator().manual_seed(1))
    (U, S, Vh), r = lowrank.svd(W), 4
    value: Any = tried(
        lambda: answered(answer(W.clone(), r)),
        (
            (RuntimeError, IndexError),
            "",
            "The shapes do not fit ({}). Directions are the columns of U and the rows of Vh: U is 12×12 here, "
            "U[:, :4] is 12×4, Vh[:4] is 4×20 (ask the SVD for full_matrices=False).",
        ),
    )
    wrong_if(
        (isinstance(value, tuple), "Return one matrix of W's shape, the product, not its factors."),
        (
            not isinstance(value, Tensor),
            f"Return a tensor of W's shape, 12×20; you returned a {type(value).__name__}.",
        ),
    )
    transposed = "Vh is already transposed: take its first r rows, Vh[:r]."
    wrong_if(
        (value.shape == (12, 12), f"The product is 12×12, and W is 12×20. {transposed}"),
        (value.shape != W.shape, f"The approximation has W's shape, 12×20; yours is {by(value.shape)}."),
    )
    value = value.to(W.dtype)
    wrong_like(
        value,
        (U[:, :r] * S[:r] @ torch.linalg.svd(W).Vh.T[:r], transposed),
        (W, "That is W itself, of full rank. Keep only the first r directions."),
        (U[:, :r] @ Vh[:r], "You left the singular values out: each direction counts with its own strength, S[:r]."),
        (U[:, :r] * S[:r] ** 2 @ Vh[:r], "S came in twice. Give it to one side, or √S to each."),
        (U[:, -r:] * S[-r:] @ Vh[-r:], "You kept the weakest directions. S is sorted, and the strongest come first."),
        (U[:, 1 : r + 1] * S[1 : r + 1] @ Vh[1 : r + 1], "You skipped the strongest direction: counting starts at 0."),
        (lowrank.truncate(W, r - 1), "You kept r − 1 directions: [:r] already stops before index r."),
        (lowrank.truncate(W, r + 1), "You kept r + 1 directions: [:r] holds r of them."),
        atol=1e-4,
    )
    best, yours = lowrank.relative_error(W, lowrank.truncate(W, r)), lowrank.relative_error(W, value)
    rank = int(torch.linalg.matrix_rank(value, rtol=1e-4)) if value.isfinite().all() else 0
    wrong_if(
        (
            yours > best + 1e-4,
            f"Its error is {yours:.3f}; the best matrix of rank 4 reaches {best:.3f}. Are U, "
            "S and Vh each cut to the first r?",
        ),
        (rank > r, f"Its rank is {rank}, not 4: keep r directions and no more."),
    )
    tall = torch.randn(9, 5, generator=torch.Generator().manual_seed(2))
    right = torch.allclose(answer(tall.clone(), 2).to(W.dtype), lowrank.truncate(tall, 2), atol=1e-4)
    wrong_if((not right, "That is right for W of 12×20 and r = 4, and wrong for W of 9×5 and r = 2: use `r` as given."))


# ---- the rank explorer: choose a matrix, slide r, and see the matrix, its error and the numbers stored ----

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


def photograph() -> Tensor:
    """The course's photograph of a cat (300×451, CC0) as grey values: 0 is black, 1 is white."""
    return torch.tensor(imread(course_root() / "data" / "photo" / "cat.png"))


def by_block(W: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The matrices of each block by kind: {"block 0": {"q_proj": …}, …}."""
    blocks: dict[str, dict[str, Tensor]] = {}
    for name, w in W.items():
        *_, number, _, kind = name.split(".")  # model.layers.0.self_attn.q_proj
        blocks.setdefault(f"block {number}", {})[kind] = w
    return blocks


def _as_in_the_lesson() -> Stage:
    from .. import lora, models

    base = models.load(precision="fp32")
    targets = lora.resolve_targets(base.model, "all-linear")
    W = {name: base.model.get_submodule(name).weight.detach() for name in targets}
    return rank_explorer({"photograph": photograph(), **by_block(W)})


live(
    "rank_explorer",
    "rank_explorer(",
    _as_in_the_lesson,
    {"name": ["photograph", "block 0", "block 15"]},
    apart=("name", "kind"),
    controls=3,
)
