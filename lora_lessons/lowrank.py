"""Low rank: how much of a matrix a few directions carry (LoRA paper, sections 1, 4.1 and 7).

W (d×k)  ≈  B (d×r) · A (r×k)        numbers stored: d·k  →  r·(d + k)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class SVD(NamedTuple):
    """W = U · diag(S) · Vh with S falling: the directions of W, strongest first."""

    U: Tensor  # d × min(d, k)
    S: Tensor  # min(d, k)
    Vh: Tensor  # min(d, k) × k


def svd(W: Tensor) -> SVD:
    """The thin singular value decomposition of W (d×k), in at least fp32.

    Raises ValueError when W is not a matrix or holds NaN or infinity.
    """
    if W.ndim != 2:
        raise ValueError(
            f"svd needs a matrix (d×k); got a tensor of shape {tuple(W.shape)}. Flatten it to two axes first."
        )
    if not torch.isfinite(W).all():
        raise ValueError(
            "svd needs finite numbers; W holds NaN or infinity. Find where they come from before cutting its rank."
        )
    return SVD(*torch.linalg.svd(W.detach().to(torch.promote_types(W.dtype, torch.float32)), full_matrices=False))


def svd_of_product(B: Tensor, A: Tensor) -> SVD:
    """The SVD of B·A from B (d×r) and A (r×k), without the d×k matrix: r directions, strongest first.

    B = Q_B·R_B and Aᵀ = Q_A·R_A, so B·A = Q_B·(R_B·R_Aᵀ)·Q_Aᵀ, and only the core between them, r×r, needs an SVD.
    Raises ValueError as `svd`.
    """
    Q_B, R_B = torch.linalg.qr(B)
    Q_A, R_A = torch.linalg.qr(A.T)
    core = svd(R_B @ R_A.T)
    return SVD(Q_B @ core.U, core.S, core.Vh @ Q_A.T)


def factors(parts: SVD, r: int) -> tuple[Tensor, Tensor]:
    """B (d×r) and A (r×k) of the best rank-r approximation: B·A, with √S on each side.

    Raises ValueError when r is outside 1 … min(d, k).
    """
    full = len(parts.S)
    if not 1 <= r <= full:
        raise ValueError(f"rank r must be between 1 and {full} (the smaller side of the matrix); got {r}.")
    root = parts.S[:r].sqrt()
    return parts.U[:, :r] * root, root[:, None] * parts.Vh[:r]


def truncate(W: Tensor, r: int) -> Tensor:
    """The best rank-r approximation of W (d×k), in the Frobenius norm (Eckart and Young, 1936)."""
    B, A = factors(svd(W), r)
    return (B @ A).to(W.dtype)


def energy(S: Tensor) -> Tensor:
    """Share of ‖W‖² kept by the first 1, 2, … singular values: a rising curve that ends at 1."""
    squares = S.double() ** 2
    return squares.cumsum(0) / squares.sum()


def rank_for_energy(S: Tensor, share: float) -> int:
    """The smallest rank whose truncation keeps `share` (0 … 1) of ‖W‖²."""
    if not 0 < share <= 1:
        raise ValueError(f"share is a fraction of the energy, above 0 and up to 1; got {share}.")
    return int((energy(S) < share - 1e-12).sum()) + 1


def relative_error(W: Tensor, approximation: Tensor) -> float:
    """‖W − approximation‖ / ‖W‖ (Frobenius, no unit): 0 is perfect, 1 is as bad as storing zeros.

    For a W of zeros it is 0 when the approximation is zero too, and infinite otherwise.
    """
    lost, whole = float((W.double() - approximation.double()).norm()), float(W.double().norm())
    if not whole:
        return math.inf if lost else 0.0
    return lost / whole


def stored_numbers(d: int, k: int, r: int) -> int:
    """Numbers needed to store B (d×r) and A (r×k)."""
    return r * (d + k)


def break_even_rank(d: int, k: int) -> int:
    """The largest rank at which B and A together are still smaller than W (d×k)."""
    return (d * k - 1) // (d + k)


def gaussian_like(W: Tensor, seed: int = 0) -> Tensor:
    """A random Gaussian matrix with W's shape, mean and standard deviation: the control without structure."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(W.shape, generator=generator)
    return noise * W.float().std().cpu() + W.float().mean().cpu()


def subspace_overlap(A1: Tensor, A2: Tensor, i: int, j: int) -> float:
    """φ(A1, A2, i, j) of the paper (section 7.2, eq. 4): 0 = orthogonal, 1 = one subspace holds the other.

    Compares the top i right-singular directions of A1 (r1×k) with the top j of A2 (r2×k).
    """
    V1, V2 = svd(A1).Vh[:i], svd(A2).Vh[:j]
    return float((V1 @ V2.T).norm() ** 2 / min(i, j))
