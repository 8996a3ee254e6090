"""Lesson 09: What can one small file change?

After it, the learner can make, mix and merge adapters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ... import quant
from ...course.exercises import answered, exercise
from . import many_adapters as many_adapters

# Imported here because it registers itself.
from . import widget as widget
from .many_adapters import stack_adapters as stack_adapters

Update = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def add(parts: Sequence[tuple[Tensor, Tensor, float]]) -> tuple[Tensor, Tensor]:
    """One pair A, B whose product is Σ weight·B·A: the course's, for a learner who has none."""
    return torch.cat([A for A, _, _ in parts]), torch.cat([weight * B for _, B, weight in parts], dim=1)


@exercise("09.1", "Two adapters in one", difficulty=2, minutes=8, keeps="add")
def exercise_09_1(add: Callable[[Sequence[tuple[Tensor, Tensor, float]]], tuple[Tensor, Tensor]]) -> str | None:
    generator = torch.Generator().manual_seed(0)
    parts = [
        (torch.randn(r, 6, generator=generator), torch.randn(5, r, generator=generator), weight)
        for r, weight in ((2, 0.5), (3, -2.0))
    ]
    try:
        got = answered(add([(A.clone(), B.clone(), weight) for A, B, weight in parts]))
    except (RuntimeError, ValueError) as error:
        if "cat" in str(error).lower() or "Sizes of tensors must match" in str(error):
            return (
                "One of the two is stacked along the wrong side: the A's on top of one another (dim=0), "
                "the B's side by side (dim=1)."
            )
        if re.search("math domain|nonnegative", str(error)):
            return _ROOT
        return (
            "The two have different ranks, so A₁ + A₂ cannot be formed, and need not: put the A's on top of one "
            f"another and the B's side by side (PyTorch says: {str(error).splitlines()[0]})."
        )
    if not isinstance(got, (tuple, list)) or len(got) != 2 or not all(isinstance(part, Tensor) for part in got):
        return "Return two tensors, A and then B."
    A, B = got
    if A.shape == (5, 5) and B.shape == (5, 6):
        return "A and B the other way round: A is r×k, B is d×r, and A comes first."
    if A.shape != (5, 6) or B.shape != (5, 5):
        return (
            "For ranks 2 and 3 the sum has rank 5: A is 5×6 and B is 5×5 here. "
            f"You gave {tuple(A.shape)} and {tuple(B.shape)}."
        )
    delta = B @ A
    if delta.is_complex() or bool(delta.isnan().any()):
        return _ROOT
    if torch.allclose(delta, sum((w * b @ a for a, b, w in parts), torch.zeros(5, 6)), atol=1e-5):
        more = [*parts, (torch.randn(1, 6, generator=generator), torch.randn(5, 1, generator=generator), 3.0)]
        A, B = add([(A.clone(), B.clone(), weight) for A, B, weight in more])
        right = sum((w * b @ a for a, b, w in more), torch.zeros(5, 6))
        if (A.shape, B.shape) == ((6, 6), (5, 6)) and torch.allclose(B @ A, right, atol=1e-5):
            return None
        return "Right for two adapters. `parts` may hold more of them: go through all."
    if torch.allclose(delta, sum((b @ a for a, b, _ in parts), torch.zeros(5, 6)), atol=1e-5):
        return "The weights are missing: multiply each B by its weight."
    if torch.allclose(delta, sum((w * w * b @ a for a, b, w in parts), torch.zeros(5, 6)), atol=1e-5):
        return "The weight is in A and in B, so it counts twice (w²): multiply only one of them."
    return "The shapes are right and B·A is not w₁·B₁A₁ + w₂·B₂A₂: keep the same order in A as in B."


# said of a complex product, of NaN, and of what Python 3.11 and 3.14 raise
_ROOT = "You took the weight's square root. A weight may be negative, and then it has none: multiply only B by it."


@exercise("09.3", "Merge, and take it back", difficulty=2, minutes=6)
def exercise_09_3(merge_and_back: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> str | None:
    generator = torch.Generator().manual_seed(0)
    W = torch.randn(64, 48, generator=generator).bfloat16()
    delta = 0.02 * torch.randn(64, 48, generator=generator)
    given = W.clone()
    got = answered(merge_and_back(given, delta.clone()))
    large = 1e4 * torch.ones(64, 48)
    again = merge_and_back(W.clone(), large)
    if not isinstance(got, tuple) or len(got) != 2 or not all(isinstance(part, Tensor) for part in got):
        return "Return two tensors: the merged weight, and the weight as it was before."
    merged, back = got
    if merged.dtype != torch.bfloat16 or back.dtype != torch.bfloat16:
        return "The model's weight is bf16 and stays so: .to(W.dtype) after adding."
    if merged is back or (torch.equal(merged, back) and not torch.equal(merged, W)):
        return (
            "Both are the same tensor: a second name for W is no copy, and adding in place changes both. W.clone() "
            "is one."
        )
    if torch.equal(merged, W):
        return "The merged weight is W itself: ΔW is missing in it."
    if not torch.equal(back, W):
        wrong = int((back != W).sum())
        return (
            f"{wrong:,} of {W.numel():,} weights did not come back: W + ΔW was rounded to bf16, and what rounding took "
            "no subtraction returns. Keep a copy of W."
        )
    if isinstance(again, tuple) and not torch.equal(again[1], W):
        return (
            "It works for this small ΔW and not for a large one: (W + ΔW) - ΔW is rounded in fp32, too. "
            "Keep a copy of W."
        )
    if not torch.equal(merged, (W.float() + delta).to(W.dtype)):
        return "W came back, but the merged weight is not W + ΔW: add in fp32, then round once."
    return None


@exercise("09.2", "One file, please", difficulty=1, minutes=6)
def exercise_09_2(merge: Callable[[Tensor, Tensor], quant.Quantized]) -> str | None:
    generator = torch.Generator().manual_seed(0)  # sizes as real ones have them
    W = (0.1 * torch.randn(96, 128, generator=generator)).bfloat16()
    delta = 0.0014 * torch.randn(96, 128, generator=generator)
    got = answered(merge(W.clone(), delta.clone()))
    if not isinstance(got, quant.Quantized):
        return "Return the merged weight in 4 bits: what quant.quantize(…, 'nf4') returns."
    if got.codebook != "nf4":
        return f"Rounded to {got.codebook}: the file should be in NF4."
    result, W4 = quant.dequantize(got).float(), quant.dequantize(quant.quantize(W, "nf4")).float()
    whole = W.float() + delta
    share = float(((result - W4) * delta).sum() / delta.square().sum())
    if 0.9 < share < 1.1 and float((result - whole).norm() / whole.norm()) < 0.15:
        return None
    if torch.equal(result, W4):
        return "That is the base in 4 bits: ΔW is not in it."
    again = quant.dequantize(quant.quantize((W4 + delta).bfloat16(), "nf4")).float()
    if float((result - again).abs().mean()) < 1e-4:
        return (
            f"Round, merge, round again: {share:.0%} of ΔW is left. The 4-bit base lies exactly on its marks, and "
            "rounding puts it back there. Start from the 16-bit W."
        )
    return f"{share:.0%} of ΔW is in the result. It should be about 100%: W + ΔW, added once, then rounded once."


def gathered_update(x: Tensor, A: Tensor, B: Tensor, scaling: Tensor, wanted: Tensor) -> Tensor:
    """What the adapters add: rows × tokens × d, each row through the adapter whose number `wanted` has for it."""
    return scaling[wanted][:, None, None] * (x @ A[wanted].mT @ B[wanted].mT)


# Numbers that should meet one by one part in another dimension than the rows: nothing but the scales does so here.
_ELEMENTWISE = re.compile(r"must match the size of tensor b .*dimension [12]")


def _of(rows: int, tokens: int, n: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x (rows×tokens×7), A (n×2×7), B (n×5×2) and scaling (n), by chance."""
    generator = torch.Generator().manual_seed(seed)
    x, A, B = (torch.randn(size, generator=generator) for size in ((rows, tokens, 7), (n, 2, 7), (n, 5, 2)))
    return x, A, B, torch.tensor([0.5, 2.0, 3.0, 4.0, 0.25, 8.0])[:n]


def _row_by_row(x: Tensor, A: Tensor, B: Tensor, scaling: Tensor, wanted: Sequence[int]) -> Tensor:
    return torch.stack([scaling[a] * (one @ A[a].T @ B[a].T) for one, a in zip(x, wanted, strict=True)])


@exercise("09.4", "Each row its own adapter", difficulty=2, minutes=8, keeps="gathered_update")
def exercise_09_4(update: Update) -> str | None:
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
