"""Exercises of lesson 16, the gathered product and a stack of adapters of different ranks, and the course's answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from ...course.exercises import answered, exercise

Update = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
Stack = Callable[[Sequence[tuple[Tensor, Tensor, float]]], tuple[Tensor, Tensor, Tensor]]

# ---- the answers ----


def gathered_update(x: Tensor, A: Tensor, B: Tensor, scaling: Tensor, wanted: Tensor) -> Tensor:
    """What the adapters add: rows × tokens × d, each row through the adapter whose number `wanted` has for it."""
    return scaling[wanted][:, None, None] * (x @ A[wanted].mT @ B[wanted].mT)


def stack_adapters(adapters: Sequence[tuple[Tensor, Tensor, float]]) -> tuple[Tensor, Tensor, Tensor]:
    """A (n×r×k), B (n×d×r) and the scales of n adapters, given as (A, B, lora_alpha), filled up to the largest rank."""
    r = max(len(A) for A, _, _ in adapters)
    stacked_A = torch.stack([pad(A, (0, 0, 0, r - len(A))) for A, _, _ in adapters])
    stacked_B = torch.stack([pad(B, (0, r - B.shape[1])) for _, B, _ in adapters])
    return stacked_A, stacked_B, torch.tensor([alpha / len(A) for A, _, alpha in adapters])


# ---- the checks ----

# Numbers that should meet one by one part in another dimension than the rows: nothing but the scales does so here.
_ELEMENTWISE = re.compile(r"must match the size of tensor b .*dimension [12]")


def _of(rows: int, tokens: int, n: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x (rows×tokens×7), A (n×2×7), B (n×5×2) and scaling (n), by chance."""
    generator = torch.Generator().manual_seed(seed)
    x, A, B = (torch.randn(size, generator=generator) for size in ((rows, tokens, 7), (n, 2, 7), (n, 5, 2)))
    return x, A, B, torch.tensor([0.5, 2.0, 3.0, 4.0, 0.25, 8.0])[:n]


def _row_by_row(x: Tensor, A: Tensor, B: Tensor, scaling: Tensor, wanted: Sequence[int]) -> Tensor:
    return torch.stack([scaling[a] * (one @ A[a].T @ B[a].T) for one, a in zip(x, wanted, strict=True)])


@exercise("16.1", "Each row its own adapter", difficulty=2, minutes=8, keeps="gathered_update")
def exercise_16_1(update: Update) -> str | None:
    wanted = [2, 0, 2, 1]
    x, A, B, scaling = _of(rows=4, tokens=3, n=4)
    try:
        got = answered(update(x.clone(), A.clone(), B.clone(), scaling.clone(), torch.tensor(wanted)))
    except (RuntimeError, IndexError) as error:
        if _ELEMENTWISE.search(str(error)):
            return (
                "`scaling[wanted]` is one number for each row, and what it meets is rows×tokens×d: give it two more "
                f"dimensions, [:, None, None] (PyTorch says: {str(error).splitlines()[0]})."
            )
        return (
            "The shapes do not meet. A[wanted] is rows×r×k and B[wanted] is rows×d×r: turn each around with .mT and "
            f"multiply x, rows×tokens×k, by them (PyTorch says: {str(error).splitlines()[0]})."
        )
    if not isinstance(got, Tensor):
        return f"Return a tensor; you returned a {type(got).__name__}."
    if got.shape != (4, 3, 5):
        return f"4 rows of 3 tokens with d = 5 outputs each: the update is 4×3×5. You gave {tuple(got.shape)}."
    right = _row_by_row(x, A, B, scaling, wanted)
    ones = torch.ones(4)
    for wrong, advice in (
        (_row_by_row(x, A, B, ones, wanted), "The scale is missing: each adapter has its own α/r, scaling[wanted]."),
        (_row_by_row(x, A, B, scaling**2, wanted), "The scale counts twice: multiply the product by it once."),
        (
            _row_by_row(x, A, B, ones, wanted) * scaling[:, None, None],
            "Row i got the scale of adapter i: it wants that of adapter wanted[i].",
        ),
        (
            _row_by_row(x, A, B, scaling, [wanted[0]] * 4),
            "Every row went through the first row's adapter. Index the stacks with all of `wanted`.",
        ),
        (_row_by_row(x, A, B, scaling, [0, 1, 2, 3]), "Row i went through adapter i: it wants adapter wanted[i]."),
        (
            sum((_row_by_row(x, A, B, scaling, [a] * 4) for a in range(4)), torch.zeros(4, 3, 5)),
            "Every row went through all adapters, and their updates were added up: pick one for each row.",
        ),
    ):
        if torch.allclose(got, wrong, atol=1e-4):
            return advice
    if not torch.allclose(got, right, atol=1e-4):
        rows = [i for i in range(4) if not torch.allclose(got[i], right[i], atol=1e-4)]
        return (
            f"Rows {rows} are not s·B·A·x of the adapter that they want. Does each row keep its own A with its own B?"
        )
    x, A, B, scaling = _of(rows=5, tokens=1, n=6, seed=1)
    others = [5, 5, 0, 3, 4]
    again = update(x.clone(), A.clone(), B.clone(), scaling.clone(), torch.tensor(others))
    right = _row_by_row(x, A, B, scaling, others)
    if isinstance(again, Tensor) and again.shape == right.shape and torch.allclose(again, right, atol=1e-4):
        return None
    return "Right for 4 rows of 3 tokens, and not for 5 rows of one token: take the sizes from what you are given."


@exercise("16.2", "A stack of different ranks", difficulty=2, minutes=8, keeps="stack_adapters")
def exercise_16_2(stack: Stack) -> str | None:
    generator = torch.Generator().manual_seed(0)
    given = [
        (torch.randn(r, 6, generator=generator), torch.randn(5, r, generator=generator), alpha)
        for r, alpha in ((2, 8.0), (4, 8.0), (1, 3.0))
    ]
    try:
        got = answered(stack([(A.clone(), B.clone(), alpha) for A, B, alpha in given]))
    except RuntimeError as error:
        return (
            "Matrices of different sizes cannot be stacked: first make room of the largest size, torch.zeros(n, r, k), "
            f"and write each one into its corner (PyTorch says: {str(error).splitlines()[0]})."
        )
    if not isinstance(got, (tuple, list)) or len(got) != 3 or not all(isinstance(part, Tensor) for part in got):
        return "Return three tensors: A, B and scaling."
    A, B, scaling = got
    if A.shape == (3, 1, 6) or B.shape == (3, 5, 1):
        return "Cut to the smallest rank: most directions of the others are lost. Fill up to the largest instead."
    if A.shape != (3, 4, 6) or B.shape != (3, 5, 4) or scaling.shape != (3,):
        return (
            "Three adapters of at most rank 4 make A 3×4×6, B 3×5×4 and scaling 3; you gave "
            f"{tuple(A.shape)}, {tuple(B.shape)} and {tuple(scaling.shape)}."
        )
    alphas, ranks = torch.tensor([8.0, 8.0, 3.0]), torch.tensor([2.0, 4.0, 1.0])
    products = torch.stack([b @ a for a, b, _ in given])
    if not torch.allclose(B @ A, products, atol=1e-4):
        wrong = [i for i in range(3) if not torch.allclose(B[i] @ A[i], products[i], atol=1e-4)]
        return (
            f"B·A of adapter {wrong[0]} is not what it was. The rows that are added to A and the columns that are "
            "added to B must be zeros, and both at the same end."
        )
    for mistaken, advice in (
        (
            alphas / 4,
            "This is the colleague's mistake: α over the rank *after* filling up, so a small adapter is scaled down.",
        ),
        (alphas, "That is α alone: divide it by the adapter's own rank."),
        (ranks / alphas, "Upside down: the scale is α/r, not r/α."),
        (alphas / ranks.mean(), "Divide by each adapter's own rank, not by their mean."),
    ):
        if torch.allclose(scaling.float(), mistaken, atol=1e-4):
            return advice
    if not torch.allclose(scaling.float(), alphas / ranks, atol=1e-4):
        return f"The scales are α/r of each adapter, {(alphas / ranks).tolist()} here; you gave {scaling.tolist()}."
    return None
