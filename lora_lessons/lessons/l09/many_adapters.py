"""The side trip deeper/09_many_adapters: A hundred adapters on one base?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from ...course.exercises import answered, exercise

Stack = Callable[[Sequence[tuple[Tensor, Tensor, float]]], tuple[Tensor, Tensor, Tensor]]


def stack_adapters(adapters: Sequence[tuple[Tensor, Tensor, float]]) -> tuple[Tensor, Tensor, Tensor]:
    """A (n×r×k), B (n×d×r) and the scales of n adapters, given as (A, B, lora_alpha), filled up to the largest rank."""
    r = max(len(A) for A, _, _ in adapters)
    stacked_A = torch.stack([pad(A, (0, 0, 0, r - len(A))) for A, _, _ in adapters])
    stacked_B = torch.stack([pad(B, (0, r - B.shape[1])) for _, B, _ in adapters])
    return stacked_A, stacked_B, torch.tensor([alpha / len(A) for A, _, alpha in adapters])


@exercise("09.5", "A stack of different ranks", difficulty=2, minutes=8, keeps="stack_adapters")
def exercise_09_5(stack: Stack) -> str | None:
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
