"""GPTQ and AWQ in miniature: rounding that looks at what a layer reads.

GPTQ: what rounding one column loses, the columns still to come make up for. AWQ: the columns that are read loudly are
enlarged before rounding. Both round to one grid, and know the calibration text by two summaries of a layer's inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .nf4 import check_numbers


@torch.no_grad()
def gptq(
    W: Tensor,
    H: Tensor,
    bits: int = 4,
    group: int = 64,
    symmetric: bool = True,
    damp: float = 0.01,
    by_activation: bool = False,
) -> Rounded:
    """GPTQ's Algorithm 1: W (d×k) is rounded a column at a time, and each column's error moves on to the later ones.

    H is k×k (see `Inputs`), and all is computed in its dtype. `damp` times its mean diagonal is added to the diagonal
    (section 3.3, step 3), so a column that is never read (H_ii = 0) is rounded to nearest. Columns go from left to
    right or, with `by_activation`, those with the largest H_ii first ("act-order"). The grids are round-to-nearest's.
    (The paper makes a group's grid anew when its turn comes; on this course's base that was no better.)
    Raises ValueError for what cannot be rounded, an H of zeros or of another shape, or one that `damp` leaves singular.
    """
    start = round_to_nearest(W, bits, group, symmetric)
    (d, k), g = W.shape, group
    diagonal = check_hessian(H, k)
    order = diagonal.argsort(descending=True, stable=True) if by_activation else torch.arange(k, device=H.device)
    U = _inverse_factor(H + damp * diagonal.mean() * torch.eye(k, dtype=H.dtype, device=H.device), order, damp)
    U = U / U.diagonal()[:, None]
    # k×d: a column of the weight is a row here, in one piece in memory.
    W = W.detach().T[order].to(H.dtype, copy=True)
    scales, zeros = (t.T.to(H.dtype, copy=True) for t in (start.scales, start.zeros))
    top = last_code(bits, symmetric)
    codes, errors = torch.empty_like(W), W.new_empty(g, d)
    # g columns among themselves, then all later ones at once (section 3.3, step 2).
    for first in range(0, k, g):
        block, last = W[first : first + g], first + g
        for i, column in enumerate(order[first:last].tolist()):
            scale, zero = scales[column // g], zeros[column // g]
            codes[column] = nearest_mark(block[i], scale, zero, top)
            errors[i] = block[i] - scale * (codes[column] - zero)
            block[i + 1 :].addr_(U[first + i, first + i + 1 : last], errors[i], alpha=-1)
        W[last:] -= U[first:last, last:].T @ errors
    return start._replace(codes=codes.T.byte())


def _inverse_factor(H: Tensor, order: Tensor, damp: float) -> Tensor:
    """U, upper triangular, with UᵀU = H⁻¹, the columns in `order` (section 3.3, step 3).

    Its row i holds what removing the columns before i, one after the other, would leave of H⁻¹'s row i.
    """
    try:
        return torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(H[order][:, order])), upper=True)
    except torch.linalg.LinAlgError as error:
        raise ValueError(f"H cannot be inverted with damp = {damp}: use 0.01, or more calibration text.") from error


# The exponents that AWQ tries (the paper: 20); 0 is round-to-nearest.
ALPHAS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def awq(
    W: Tensor, inputs: Inputs, bits: int = 4, group: int = 64, symmetric: bool = True, alphas: Sequence[float] = ALPHAS
) -> Rounded:
    """AWQ: column j of W (d×k) is multiplied by s_j = mean|x_j|^α, rounded to nearest, and divided by s_j again.

    The α with the smallest output error on the calibration text is taken (section 3.2, equations 4 and 5). Before
    rounding the product is unchanged: (W·diag(s))·(diag(s)⁻¹·x) = W·x. A real export folds 1/s into whatever comes
    before. Raises ValueError for what cannot be rounded, or inputs of another shape or all zero.
    """
    check_weight(W, bits, group)
    living = check_hessian(inputs.H, W.shape[1]) > 0
    log = inputs.mean_abs.log()
    # s around 1, and 1 where nothing is read; clamped to what fp16 has.
    log = (log - log[living].mean()).where(living, 0).clamp(-10, 10)
    best, least = None, float("inf")
    for alpha in alphas:
        s = (log * alpha).exp().half()
        rounded = round_to_nearest(W.float() * s, bits, group, symmetric)._replace(channels=s if alpha else None)
        error = output_error(W, rounded.dequantize(), inputs.H)
        if best is None or error < least:
            best, least = rounded, error
    if best is None:
        raise ValueError("AWQ needs at least one alpha to try, such as 0.5.")
    return best


# The positive numbers of fp16, the 16-bit format that scales are kept in, begin and end here.
SMALLEST, LARGEST = 2.0**-24, 65504.0


class Rounded(NamedTuple):
    """A weight of d×k in `bits` bits, and all that is needed to have it back."""

    codes: Tensor  # uint8, d×k: 0 … last_code
    scales: Tensor  # fp16, d×(k/group)
    zeros: Tensor  # uint8, d×(k/group): the code that stands for 0; with a symmetric grid the middle one everywhere
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


def last_code(bits: int, symmetric: bool) -> int:
    """The largest code of a grid. A symmetric one leaves a code unused, so that 0 is its middle:
    int4 has the marks −7 … 7."""
    return 2**bits - (2 if symmetric else 1)


def round_to_nearest(W: Tensor, bits: int = 4, group: int = 64, symmetric: bool = True) -> Rounded:
    """Each weight of W (d×k) to the nearest mark of its group's grid. Raises ValueError for what cannot be rounded."""
    check_weight(W, bits, group)
    groups = W.detach().float().unflatten(1, (-1, group))
    scales, zeros = grid_of(groups, bits, symmetric)
    codes = nearest_mark(groups, scales[..., None], zeros[..., None], last_code(bits, symmetric)).byte().flatten(1)
    return Rounded(codes, scales.half(), zeros.byte(), bits, symmetric)


def grid_of(groups: Tensor, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Scale and zero point for the last dimension's weights; the scale is a number that fp16 has."""
    top = last_code(bits, symmetric)
    # 0 is on every grid.
    low, high = groups.amin(-1).clamp(max=0), groups.amax(-1).clamp(min=0)
    if symmetric:
        high = torch.maximum(high, -low)
        low = -high
    scales = ((high - low) / top).clamp(min=SMALLEST)
    if scales.max() > LARGEST:
        raise ValueError(f"a weight of {groups.abs().max():.3g} is too large for a scale in 16 bits: find its cause.")
    scales = scales.half().to(groups.dtype)
    zeros = torch.full_like(scales, top // 2) if symmetric else (-low / scales).round().clamp(0, top)
    return scales, zeros


def nearest_mark(W: Tensor, scales: Tensor, zeros: Tensor, top: int) -> Tensor:
    """The code of the mark nearest to each weight, 0 … top, a whole number of W's dtype."""
    return (W / scales).round_().add_(zeros).clamp_(0, top)


def check_weight(W: Tensor, bits: int, group: int) -> None:
    """Raise ValueError unless W (d×k) can be rounded to `bits` bits in groups of `group`."""
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 8:
        raise ValueError(f"bits = {bits!r}: choose a whole number from 2 to 8.")
    if W.ndim != 2 or not W.is_floating_point() or not W.numel():
        raise ValueError(f"a weight to round is a d×k matrix of floats, got {W.dtype} of shape {tuple(W.shape)}.")
    if isinstance(group, bool) or not isinstance(group, int) or group < 1 or W.shape[1] % group:
        fits = [g for g in (256, 128, 64, 32, 16, 8) if W.shape[1] % g == 0]
        raise ValueError(
            f"group = {group!r} does not divide {W.shape[1]} columns: choose one of {fits or [W.shape[1]]}."
        )
    check_numbers(W, "the weight")
    if (largest := W.abs().max().float()) > LARGEST * 2**bits:
        raise ValueError(f"a weight of {largest:.3g} is too large for a scale in 16 bits: find its cause.")


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
            f"what the layer reads goes up to {X.abs().max():.3g}, and its squares no longer fit into fp32: "
            "find the cause first."
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
