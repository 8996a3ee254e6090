"""AWQ in miniature: the columns that are read loudly are enlarged before rounding, so that they are rounded finer.

mean |x_j| ── s_j = mean|x_j|^α ── (W·diag(s)) rounded · diag(s)⁻¹        the α that loses least is kept

Lin et al. 2023, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .grid import Rounded, check_weight, round_to_nearest
from .inputs import Inputs, check_hessian, output_error

# The exponents that AWQ tries (the paper: 20); 0 is round-to-nearest.
ALPHAS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def awq(
    W: Tensor, inputs: Inputs, bits: int = 4, group: int = 64, symmetric: bool = True, alphas: Sequence[float] = ALPHAS
) -> Rounded:
    """AWQ: column j of W (d×k) is multiplied by s_j = mean|x_j|^α, rounded to nearest, and divided by s_j again.

    The α with the smallest output error on the calibration text is taken (section 3.2, equations 4 and 5). Before rounding
    the product is unchanged: (W·diag(s))·(diag(s)⁻¹·x) = W·x. A real export folds 1/s into whatever comes before.
    Raises ValueError for what cannot be rounded, or inputs of another shape or all zero.
    """
    check_weight(W, bits, group)
    living = check_hessian(inputs.H, W.shape[1]) > 0
    log = inputs.mean_abs.log()
    # s around 1, and 1 where nothing is read; clamped to what fp16 has.
    log = (log - log[living].mean()).where(living, 0).clamp(-10, 10)
    best, least = None, float("inf")
    for alpha in alphas:
        s = (log * alpha).exp().half()
        found = round_to_nearest(W.float() * s, bits, group, symmetric)._replace(channels=s if alpha else None)
        error = output_error(W, found.dequantize(), inputs.H)
        if best is None or error < least:
            best, least = found, error
    if best is None:
        raise ValueError("AWQ needs at least one alpha to try, such as 0.5.")
    return best
