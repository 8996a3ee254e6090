"""Exercises of lesson 01: a cut on paper, and the best rank-r approximation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ... import lowrank
from ...course.exercises import answered, exercise


@exercise("01.1", "A cut on paper", difficulty=1, minutes=3)
def exercise_01_1(answer: Callable[[], Any]) -> str | None:
    value = answered(answer())
    try:
        cut = torch.as_tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        return "Return three rows of three numbers: [[…, …, …], […, …, …], […, …, …]]."
    if cut.shape != (3, 3):
        return f"The cut matrix is 3×3, as W is; yours is {'×'.join(map(str, cut.shape)) or 'one number'}."
    W = torch.tensor([[3.5, 2.5, 0], [2.5, 3.5, 0], [0, 0, 2]])
    pets, fish, apart = (
        weight * torch.outer(torch.tensor(pattern), torch.tensor(pattern))
        for weight, pattern in ((3, [1.0, 1.0, 0.0]), (2, [0.0, 0.0, 1.0]), (0.5, [1.0, -1.0, 0.0]))
    )
    mistakes = [
        (W, "That is W itself, with all three directions. Keep only the strongest."),
        (pets + fish, "That is rank 2: you kept the two strongest directions. For rank 1 keep one."),
        (pets + apart, "You removed the direction of strength 2 and kept the one of strength 1. For rank 1 both go."),
        (fish, "You kept the second direction. The strongest is the one with strength 6."),
        (apart, "You kept the weakest direction. The strongest is the one with strength 6."),
        (pets / 3, "Column and row are right; the factor in front, 3, is missing."),
        (
            2 * pets,
            "6 is the strength. The factor in front is 3: column and row have the length √2 each, and 3·√2·√2 = 6.",
        ),
        (torch.diag(torch.diag(W)), "You kept the diagonal, which has rank 3. A direction is a column times a row."),
        (
            torch.outer(W[:, 0], torch.tensor([1.0, 0, 0])),
            "You kept one column of W. A direction fills the whole table.",
        ),
        (torch.outer(torch.tensor([1.0, 0, 0]), W[0]), "You kept one row of W. A direction fills the whole table."),
    ]
    for wrong, sentence in mistakes:
        if torch.allclose(cut, wrong, atol=1e-3):
            return sentence
    if not torch.allclose(cut, pets, atol=1e-3):
        return "Multiply the column (1, 1, 0) by the row (1, 1, 0), which gives nine numbers, and each of them by 3."
    return None


@exercise("01.3", "The best rank-r approximation", difficulty=2, minutes=6, keeps="best_rank_r")
def exercise_01_3(answer: Callable[[Tensor, int], Tensor]) -> str | None:
    W = torch.randn(12, 20, generator=torch.Generator().manual_seed(1))
    parts, r = lowrank.svd(W), 4
    U, S, Vh = parts
    try:
        value: Any = answered(answer(W.clone(), r))
    except (RuntimeError, IndexError) as error:
        return (
            f"The shapes do not fit ({error}). Directions are the columns of U and the rows of Vh: U is 12×12 here, "
            "U[:, :4] is 12×4, Vh[:4] is 4×20 (ask the SVD for full_matrices=False)."
        )
    if isinstance(value, tuple):
        return "Return one matrix of W's shape, the product, not its factors."
    if not isinstance(value, Tensor):
        return f"Return a tensor of W's shape, 12×20; you returned a {type(value).__name__}."
    if value.shape == (12, 12):
        return "The product is 12×12, and W is 12×20. Vh is already transposed: take its first r rows, Vh[:r]."
    if value.shape != W.shape:
        return f"The approximation has W's shape, 12×20; yours is {'×'.join(map(str, value.shape))}."
    value = value.to(W.dtype)
    mistakes = [
        ((U[:, :r] * S[:r]) @ torch.linalg.svd(W).Vh.T[:r], "Vh is already transposed: take its first r rows, Vh[:r]."),
        (W, "That is W itself, of full rank. Keep only the first r directions."),
        (U[:, :r] @ Vh[:r], "You left the singular values out: each direction counts with its own strength, S[:r]."),
        ((U[:, :r] * S[:r] ** 2) @ Vh[:r], "S came in twice. Give it to one side, or √S to each."),
        ((U[:, -r:] * S[-r:]) @ Vh[-r:], "You kept the weakest directions. S is sorted, and the strongest come first."),
        (U[:, 1 : r + 1] * S[1 : r + 1] @ Vh[1 : r + 1], "You skipped the strongest direction: counting starts at 0."),
        (lowrank.truncate(W, r - 1), "You kept r − 1 directions: [:r] already stops before index r."),
        (lowrank.truncate(W, r + 1), "You kept r + 1 directions: [:r] holds r of them."),
    ]
    for wrong, sentence in mistakes:
        if torch.allclose(value, wrong, atol=1e-4):
            return sentence
    best, yours = lowrank.relative_error(W, lowrank.truncate(W, r)), lowrank.relative_error(W, value)
    if yours > best + 1e-4:
        return (
            f"Its error is {yours:.3f}; the best matrix of rank 4 reaches {best:.3f}. Are U, "
            "S and Vh each cut to the first r?"
        )
    rank = int(torch.linalg.matrix_rank(value, rtol=1e-4))
    if rank > r:
        return f"Its rank is {rank}, not 4: keep r directions and no more."
    tall = torch.randn(9, 5, generator=torch.Generator().manual_seed(2))
    if not torch.allclose(answer(tall.clone(), 2).to(W.dtype), lowrank.truncate(tall, 2), atol=1e-4):
        return "That is right for W of 12×20 and r = 4, and wrong for W of 9×5 and r = 2: use `r` as given."
    return None
