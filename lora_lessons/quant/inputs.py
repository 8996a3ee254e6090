"""What a layer reads, in two summaries: all that GPTQ and AWQ know of the calibration text.

X (tokens×k) ─┬─ H = 2XᵀX ── GPTQ: which columns are read together, and how an error in one can be made up for in others
              └─ mean |x| ── AWQ: which columns are read loudly
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .checks import check_numbers


class Inputs(NamedTuple):
    """What a layer read while the calibration text passed through."""

    H: Tensor  # fp32, k×k: 2XᵀX, the Hessian of ‖XWᵀ − XŴᵀ‖² in a row of Ŵ (GPTQ, section 3)
    mean_abs: Tensor  # fp32, k: AWQ's s_X, the mean of |x| over the tokens
    tokens: int


def read(X: Tensor) -> Inputs:
    """The inputs X (tokens×k) of a layer as the two summaries that GPTQ and AWQ need.

    Raises ValueError for an X of another shape, without a token, with NaN or infinity, or too large to be squared.
    """
    if X.ndim != 2 or not X.numel():
        raise ValueError(f"X is tokens×k with at least one token, got {tuple(X.shape)}: give some calibration text.")
    check_numbers(X, "what the layer reads")
    X = X.detach().float()
    H = 2 * X.T @ X
    if not torch.isfinite(H).all():
        raise ValueError(
            f"what the layer reads goes up to {X.abs().max():.3g}, and its squares no longer fit into fp32: find the cause first."
        )
    return Inputs(H, X.abs().mean(0), len(X))


def output_error(W: Tensor, W_hat: Tensor, H: Tensor) -> float:
    """‖XWᵀ − XŴᵀ‖ / ‖XWᵀ‖ (Frobenius, no unit), from H alone: ‖XDᵀ‖² = ½·tr(D·H·Dᵀ).

    0 where nothing is lost, also when XWᵀ is zero; infinite where it is zero and XŴᵀ is not.
    """
    H, D = H.float(), W.float() - W_hat
    lost = float(((D @ H) * D).sum().clamp(min=0).sqrt())
    whole = float(((W.float() @ H) * W).sum().clamp(min=0).sqrt())
    if not whole:
        return float("inf") if lost else 0.0
    return lost / whole


def check_hessian(H: Tensor, k: int) -> Tensor:
    """H's diagonal, when H can be used for a weight of k columns. Raises ValueError when it cannot."""
    if H.shape != (k, k):
        raise ValueError(
            f"H has shape {tuple(H.shape)} and the weight {k} columns: H is k×k, from this layer's inputs."
        )
    check_numbers(H, "H")
    if not H.diagonal().any():
        raise ValueError("H is zero: no calibration text has passed through the layer. Run `collect` with some.")
    return H.diagonal()
