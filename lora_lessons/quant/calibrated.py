"""GPTQ and AWQ in miniature: rounding that looks at what the layer reads.

W (d×k) ──────────────── round-to-nearest ── each weight to its nearest mark, whatever it is multiplied by
X (tokens×k) ─ H = 2XᵀX ─ GPTQ ───────────── a column at a time; what is lost is made up for in the columns still to come
            └ mean |x| ── AWQ ────────────── channels that are read loudly are enlarged first, so they are rounded finer

GPTQ: Frantar et al. 2022, Algorithm 1. AWQ: Lin et al. 2023, section 3. All three share one grid: in each row, `group`
neighbours share a scale and a zero point, and a weight is scale · (code − zero).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

ALPHAS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # the exponents that AWQ tries (the paper: 20); 0 is round-to-nearest
SMALLEST, LARGEST = 2.0**-24, 65504.0  # of the 16-bit numbers (fp16) that scales are kept in


class Rounded(NamedTuple):
    """A weight of d×k in `bits` bits, and all that is needed to have it back."""

    codes: Tensor  # uint8, d×k: 0 … 2^bits − 1
    scales: Tensor  # fp16, d×(k/group)
    zeros: Tensor  # uint8, d×(k/group): the code that stands for 0; with a symmetric grid 2^(bits−1) everywhere
    bits: int
    symmetric: bool
    channels: Tensor | None = None  # fp16, k: AWQ's s, by which the columns were multiplied before rounding

    def dequantize(self) -> Tensor:
        """The weight that the codes stand for, d×k in fp32."""
        group = self.codes.shape[1] // self.scales.shape[1]
        scales, zeros = (t.float().repeat_interleave(group, 1) for t in (self.scales, self.zeros))
        W = scales * (self.codes - zeros)
        return W if self.channels is None else W / self.channels.float()

    @property
    def bits_per_weight(self) -> float:
        """Packed, with its share of scale, zero point and s: symmetric 4 + 16/64 = 4.25, asymmetric 4 + (16 + 4)/64."""
        d, k = self.codes.shape
        shared = self.scales.numel() * (16 + (0 if self.symmetric else self.bits))
        return self.bits + (shared + (0 if self.channels is None else 16 * k)) / (d * k)


class Inputs(NamedTuple):
    """What a layer read while the calibration text passed through."""

    H: Tensor  # fp32, k×k: 2XᵀX, the Hessian of ‖XWᵀ − XŴᵀ‖² in a row of Ŵ (GPTQ, section 3)
    mean_abs: Tensor  # fp32, k: AWQ's s_X, the mean of |x| over the tokens
    tokens: int


def read(X: Tensor) -> Inputs:
    """The inputs X (tokens×k) of a layer as the two summaries that GPTQ and AWQ need.

    Raises ValueError for an X of another shape, without a token, or with NaN or infinity.
    """
    if X.ndim != 2 or not X.numel():
        raise ValueError(f"X is tokens×k with at least one token, got {tuple(X.shape)}: give some calibration text.")
    X = X.detach().float()
    _check_finite(X, "what the layer reads")
    return Inputs(2 * X.T @ X, X.abs().mean(0), len(X))


def output_error(W: Tensor, W_hat: Tensor, H: Tensor) -> float:
    """‖XWᵀ − XŴᵀ‖ / ‖XWᵀ‖ (Frobenius, no unit), from H alone: ‖XDᵀ‖² = ½·tr(D·H·Dᵀ)."""
    H, D = H.float(), W.float() - W_hat
    return float(((D @ H) * D).sum().clamp(min=0).sqrt() / ((W.float() @ H) * W).sum().sqrt())


# ---- three ways to round ----


def round_to_nearest(W: Tensor, bits: int = 4, group: int = 64, symmetric: bool = True) -> Rounded:
    """Each weight of W (d×k) to the nearest mark of its group's grid. Raises ValueError for what cannot be rounded."""
    _check(W, bits, group)
    groups = W.detach().float().unflatten(1, (-1, group))
    scales, zeros = _grid(groups, bits, symmetric)
    codes = _codes(groups, scales[..., None], zeros[..., None], bits).byte().flatten(1)
    return Rounded(codes, scales.half(), zeros.byte(), bits, symmetric)


@torch.no_grad()
def gptq(
    W: Tensor, H: Tensor, bits: int = 4, group: int = 64, symmetric: bool = True,
    damp: float = 0.01, by_activation: bool = False,
) -> Rounded:  # fmt: skip
    """GPTQ's Algorithm 1: W (d×k) is rounded a column at a time, and each column's error moves on to the later ones.

    H is k×k (see `Inputs`), and all is computed in its dtype. `damp` times its mean diagonal is added to the diagonal
    (section 3.3, step 3), so a column that is never read (H_ii = 0) is rounded to nearest. Columns go from left to
    right or, with `by_activation`, those with the largest H_ii first ("act-order"). The grids are round-to-nearest's.
    (The paper makes a group's grid anew when its turn comes; on this course's base that was no better.)
    Raises ValueError for what cannot be rounded, an H of zeros or of another shape, or one that `damp` leaves singular.
    """
    start = round_to_nearest(W, bits, group, symmetric)
    (d, k), g = W.shape, group
    diagonal = _check_hessian(H, k)
    order = diagonal.argsort(descending=True, stable=True) if by_activation else torch.arange(k, device=H.device)
    U = _inverse_factor(H + damp * diagonal.mean() * torch.eye(k, dtype=H.dtype, device=H.device), order, damp)
    U = U / U.diagonal()[:, None]
    W = W.detach().T[order].to(H.dtype, copy=True)  # k×d: a column of the weight is a row here, in one piece in memory
    scales, zeros = (t.T.to(H.dtype, copy=True) for t in (start.scales, start.zeros))
    codes, errors = torch.empty_like(W), W.new_empty(g, d)
    for first in range(0, k, g):  # g columns among themselves, then all later ones at once (section 3.3, step 2)
        block, last = W[first : first + g], first + g
        for i, column in enumerate(order[first:last].tolist()):
            scale, zero = scales[column // g], zeros[column // g]
            codes[column] = _codes(block[i], scale, zero, bits)
            errors[i] = block[i] - scale * (codes[column] - zero)
            block[i + 1 :].addr_(U[first + i, first + i + 1 : last], errors[i], alpha=-1)
        W[last:] -= U[first:last, last:].T @ errors
    return start._replace(codes=codes.T.byte())


def awq(
    W: Tensor, inputs: Inputs, bits: int = 4, group: int = 64, symmetric: bool = True, alphas: Sequence[float] = ALPHAS
) -> Rounded:
    """AWQ: column j of W (d×k) is multiplied by s_j = mean|x_j|^α, rounded to nearest, and divided by s_j again.

    The α with the smallest output error on the calibration text is taken (section 3.2, equations 4 and 5). Before rounding
    the product is unchanged: (W·diag(s))·(diag(s)⁻¹·x) = W·x. A real export folds 1/s into whatever comes before.
    Raises ValueError for what cannot be rounded, or inputs of another shape or all zero.
    """
    _check(W, bits, group)
    living = _check_hessian(inputs.H, W.shape[1]) > 0
    log = inputs.mean_abs.log()
    log = (log - log[living].mean()).where(living, 0).clamp(-10, 10)  # s around 1; 1 where nothing is read; fp16 has it
    best, least = None, float("inf")
    for alpha in alphas:
        s = (log * alpha).exp().half()
        found = round_to_nearest(W * s, bits, group, symmetric)._replace(channels=s if alpha else None)
        if (error := output_error(W, found.dequantize(), inputs.H)) < least:
            best, least = found, error
    if best is None:
        raise ValueError("AWQ needs at least one alpha to try, such as 0.5.")
    return best


def _grid(groups: Tensor, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Scale and zero point for the last dimension's weights; the scale is a number that fp16 has."""
    top = 2**bits - 1
    low, high = groups.amin(-1).clamp(max=0), groups.amax(-1).clamp(min=0)  # 0 is on every grid
    if symmetric:
        high = torch.maximum(high, -low)
        low = -high
    scales = ((high - low) / top).clamp(min=SMALLEST)
    if scales.max() > LARGEST:
        raise ValueError(f"a weight of {groups.abs().max():.3g} is too large for a scale in 16 bits: find its cause.")
    scales = scales.half().to(groups.dtype)
    zeros = torch.full_like(scales, 2 ** (bits - 1)) if symmetric else (-low / scales).round().clamp(0, top)
    return scales, zeros


def _codes(W: Tensor, scales: Tensor, zeros: Tensor, bits: int) -> Tensor:
    """The nearest code to each weight, a whole number of W's dtype."""
    return (W / scales).round_().add_(zeros).clamp_(0, 2**bits - 1)


def _inverse_factor(H: Tensor, order: Tensor, damp: float) -> Tensor:
    """U, upper triangular, with UᵀU = H⁻¹, the columns in `order` (section 3.3, step 3).

    Its row i holds what removing the columns before i, one after the other, would leave of H⁻¹'s row i.
    """
    try:
        return torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(H[order][:, order])), upper=True)
    except torch.linalg.LinAlgError as error:
        raise ValueError(f"H cannot be inverted with damp = {damp}: use 0.01, or more calibration text.") from error


def _check(W: Tensor, bits: int, group: int) -> None:
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 8:
        raise ValueError(f"bits = {bits!r}: choose a whole number from 2 to 8.")
    if W.ndim != 2 or not W.is_floating_point() or not W.numel():
        raise ValueError(f"a weight to round is a d×k matrix of floats, got {W.dtype} of shape {tuple(W.shape)}.")
    if isinstance(group, bool) or not isinstance(group, int) or group < 1 or W.shape[1] % group:
        fits = [g for g in (256, 128, 64, 32, 16, 8) if W.shape[1] % g == 0]
        raise ValueError(
            f"group = {group!r} does not divide {W.shape[1]} columns: choose one of {fits or [W.shape[1]]}."
        )
    _check_finite(W, "the weight")


def _check_hessian(H: Tensor, k: int) -> Tensor:
    """H's diagonal, when H can be used for a weight of k columns."""
    if H.shape != (k, k):
        raise ValueError(
            f"H has shape {tuple(H.shape)} and the weight {k} columns: H is k×k, from this layer's inputs."
        )
    _check_finite(H, "H")
    if not H.diagonal().any():
        raise ValueError("H is zero: no calibration text has passed through the layer. Run `collect` with some.")
    return H.diagonal()


def _check_finite(numbers: Tensor, what: str) -> None:
    if not torch.isfinite(numbers).all():
        raise ValueError(f"{what} holds NaN or infinity: find its cause first.")
