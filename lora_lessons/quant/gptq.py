"""GPTQ in miniature: what rounding one column loses, the columns still to come make up for.

H = 2XᵀX ── H⁻¹ ── U, UᵀU = H⁻¹        column i is rounded; its error · U[i, i+1:] / U[i, i] moves on to the later columns

Frantar et al. 2022, Algorithm 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .grid import Rounded, nearest_mark, round_to_nearest
from .inputs import check_hessian


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
    codes, errors = torch.empty_like(W), W.new_empty(g, d)
    # g columns among themselves, then all later ones at once (section 3.3, step 2).
    for first in range(0, k, g):
        block, last = W[first : first + g], first + g
        for i, column in enumerate(order[first:last].tolist()):
            scale, zero = scales[column // g], zeros[column // g]
            codes[column] = nearest_mark(block[i], scale, zero, bits)
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
