"""What one pair of A (r×k) and B (d×r) says of its update ΔW = scale·B·A, worked out on r×r numbers.

B = Q_B·R_B and Aᵀ = Q_A·R_A, so B·A = Q_B·(R_B·R_Aᵀ)·Q_Aᵀ: the small matrix in the middle has all singular values.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

# Bits of the fraction that each format keeps, the leading one included: one rounding is at most 2 to the minus these.
_BITS = {torch.float16: 11, torch.bfloat16: 8, torch.float32: 24, torch.float64: 53}

LARGEST = torch.finfo(torch.float32).max


class AdaptedMatrix(NamedTuple):
    """One adapted matrix. What needs the base's own W is None until `with_base` has seen it."""

    module: str
    r: int
    # d and k of ΔW; of each expert, where a stack of them is adapted.
    d: int
    k: int
    experts: int
    on_embedding: bool
    scale: float
    # ‖ΔW‖ (Frobenius, the scale counted), None where a number is not finite in 32 bits.
    norm: float | None
    # ‖ΔW‖²/σ₁² (stable rank, Rudelson and Vershynin 2007): how many directions as strong as the strongest.
    stable_rank: float | None
    # exp of the entropy of σ/Σσ (effective rank, Roy and Vetterli 2007): how many directions take part at all.
    effective_rank: float | None
    finite: bool
    a_zero: bool
    b_zero: bool
    # The largest number of A against the bound of PEFT's usual start, 1/√k: up to 1, A may still be where it began.
    a_reach: float | None
    # The root mean square of A against that of the same start, 1/√(3k); None where it began otherwise.
    a_growth: float | None
    # The share of the numbers in A and B that are exactly zero, where neither is zero as a whole.
    zeros: float
    ratio: float | None = None  # ‖ΔW‖/‖W‖
    intruders: int | None = None  # of the leading directions of W + ΔW, those that W has not

    @property
    def moves(self) -> bool:
        """Whether it changes anything at all."""
        return bool(self.norm)


@torch.no_grad()
def measure(
    module: str, A: Tensor, B: Tensor, scale: float, experts: int = 1, on_embedding: bool = False
) -> AdaptedMatrix:
    """The measures of one pair; a convolution's A and B are read as matrices, `experts` lie stacked as PEFT keeps them.

    Raises ValueError naming the module when A and B do not belong together.
    """
    bits = _BITS.get(A.dtype, 24)
    A, B = A.flatten(1).double(), B.flatten(1).double()
    if A.shape[0] != B.shape[1]:
        raise ValueError(
            f"{module}: A is {A.shape[0]}×{A.shape[1]} and B {B.shape[0]}×{B.shape[1]}, which cannot be multiplied: the "
            "file is damaged or put together from two adapters; copy it again."
        )
    k, r = A.shape[1], A.shape[0] // experts
    finite = bool(A.isfinite().all() and B.isfinite().all())
    a_zero, b_zero = not A.any(), not B.any()
    S = abs(scale) * singular_values(A, B, experts) if finite else None
    norm = float(S.norm()) if S is not None else None
    largest, spread = float(A.abs().max()), float(A.square().mean().sqrt())
    linear = finite and not on_embedding
    usual_start = linear and not _halves_alike(A)
    return AdaptedMatrix(
        *(module, r, B.shape[0], k, experts, on_embedding, scale),
        norm=norm if norm is not None and norm <= LARGEST else None,
        stable_rank=_middle([_stable(one) for one in S]) if S is not None else None,
        effective_rank=_middle([_effective(one) for one in S]) if S is not None else None,
        finite=finite,
        a_zero=a_zero,
        b_zero=b_zero,
        # the start's largest numbers may have been rounded up when they were saved
        a_reach=largest * math.sqrt(k) / (1 + 2.0**-bits) if linear else None,
        a_growth=spread * math.sqrt(3 * k) if usual_start else None,
        zeros=_zeros(A, B) if not (a_zero or b_zero) else 0.0,
    )


def singular_values(A: Tensor, B: Tensor, experts: int = 1) -> Tensor:
    """The singular values of B·A, strongest first: experts × r. No d×k matrix is made."""
    k, d = A.shape[1], B.shape[0]
    A = A.reshape(experts, -1, k)  # PEFT's order: r rows of the first expert, then of the second …
    B = B.reshape(d, -1, experts).permute(2, 0, 1)  # … and columns of B in turns, one of each expert
    R_A = torch.linalg.qr(A.transpose(1, 2), mode="r").R
    R_B = torch.linalg.qr(B, mode="r").R
    return torch.linalg.svdvals(R_B @ R_A.transpose(1, 2))


def _halves_alike(A: Tensor) -> bool:
    """Whether A holds an A and the one that it began with, as PEFT writes them when it converts PiSSA and its like."""
    if A.shape[0] % 2:
        return False
    first, second = A.chunk(2)
    return float(torch.cosine_similarity(first.flatten(), second.flatten(), dim=0)) > 0.5


def _stable(S: Tensor) -> float:
    strongest = float(S.max())
    return float((S / strongest).square().sum()) if strongest else 0.0


def _effective(S: Tensor) -> float:
    if not float(S.sum()):
        return 0.0
    p = S / S.sum()
    return math.exp(-float(torch.special.xlogy(p, p).sum()))


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _zeros(A: Tensor, B: Tensor) -> float:
    return 1 - (int(A.count_nonzero()) + int(B.count_nonzero())) / (A.numel() + B.numel())
