"""Exercises of lesson 09: a sum of two adapters, distance of distributions, a merge undone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ... import evaluation
from ...course.exercises import answered, exercise, not_a_number


@exercise("09.1", "Two adapters in one", difficulty=2, minutes=8)
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
            return "One of the two is stacked along the wrong side: the A's on top of one another (dim=0), the B's side by side (dim=1)."
        if "omplex" in str(error):
            return "A weight may be negative, and has no square root then: multiply only B by it."
        return (
            "The two have different ranks, so A₁ + A₂ cannot be formed, and need not: put the A's on top of one another and "
            f"the B's side by side (PyTorch says: {str(error).splitlines()[0]})."
        )
    if not isinstance(got, (tuple, list)) or len(got) != 2 or not all(isinstance(part, Tensor) for part in got):
        return "Return two tensors, A and then B."
    A, B = got
    if A.shape == (5, 5) and B.shape == (5, 6):
        return "A and B the other way round: A is r×k, B is d×r, and A comes first."
    if A.shape != (5, 6) or B.shape != (5, 5):
        return f"For ranks 2 and 3 the sum has rank 5: A is 5×6 and B is 5×5 here. You gave {tuple(A.shape)} and {tuple(B.shape)}."
    delta = B @ A
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


@exercise("09.2", "How far apart", difficulty=2, minutes=8)
def exercise_09_2(kl: Callable[[Tensor, Tensor], Tensor]) -> str | None:
    generator = torch.Generator().manual_seed(0)
    p, q = 2 * torch.randn(4, 9, generator=generator), 2 * torch.randn(4, 9, generator=generator)
    right = evaluation.divergence(p, q)
    got = answered(kl(p.clone(), q.clone()))
    if isinstance(got, Tensor) and got.ndim:
        each = evaluation.divergence(p[:1], q[:1])
        last = got.flatten()[0].item() if got.numel() else 0.0
        tail = " These are the tokens' own values: take their mean." if abs(last - each) < 1e-4 else ""
        return f"One number is asked, the mean over tokens; you returned a tensor of shape {tuple(got.shape)}.{tail}"
    if not isinstance(got, Tensor) and (complaint := not_a_number(got)):
        return complaint
    value = float(got)
    if value != value:
        return (
            "The logarithm of a logit is not a number where the logit is negative: log_softmax gives log-probabilities."
        )
    if abs(value - right) < 1e-4:
        return None
    P, Q = p.softmax(-1), q.softmax(-1)
    for wrong, name in (
        (evaluation.divergence(q, p), "That is KL(q ‖ p): p, the reference, weighs the differences."),
        (right * 4, "Summed over the tokens: take the mean over them."),
        (right / 9, "Divided by the vocabulary too: sum over it, and take the mean over tokens alone."),
        (
            float((p * (p - q)).sum(-1).mean()),
            "Logits are no probabilities and no log-probabilities yet: log_softmax first.",
        ),
        (evaluation.divergence(p.T, q.T) * 9 / 4, "Over the vocabulary, the last dimension: log_softmax(-1)."),
        (evaluation.divergence(p.T, q.T), "Over the vocabulary, the last dimension: log_softmax(-1)."),
        (float((P * (p - q)).sum(-1).mean()), "Logits are no log-probabilities yet: log_softmax makes them so."),
        (float((P - Q).abs().sum(-1).mean()), "That is the distance of the probabilities, without a logarithm."),
        (-right, "The sign is turned: log p − log q."),
    ):
        if abs(value - wrong) < 1e-4:
            return name
    return (
        f"Σ p·(log p − log q) over the vocabulary, then the mean over tokens: {right:.4f} here; you gave {value:.4f}."
    )


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
        return "Both are the same tensor: a second name for W is no copy, and adding in place changes both. W.clone() is one."
    if torch.equal(merged, W):
        return "The merged weight is W itself: ΔW is missing in it."
    if not torch.equal(back, W):
        wrong = int((back != W).sum())
        return (
            f"{wrong:,} of {W.numel():,} weights did not come back: W + ΔW was rounded to bf16, and what rounding took no "
            "subtraction returns. Keep a copy of W."
        )
    if isinstance(again, tuple) and not torch.equal(again[1], W):
        return "It works for this small ΔW and not for a large one: (W + ΔW) - ΔW is rounded in fp32, too. Keep a copy of W."
    if not torch.equal(merged, (W.float() + delta).to(W.dtype)):
        return "W came back, but the merged weight is not W + ΔW: add in fp32, then round once."
    return None
