"""One token's numbers on their way through an adapter: x, A, the r numbers of A·x, B, and the update, to one scale."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from ...drawing import BLUE, GREY, WIDTH

THICK = 20  # how wide a vector is drawn, in numbers: one alone would be a hair
CELL = 54  # and each of the r numbers under the lens


def squeeze(x: Tensor, A: Tensor, B: Tensor, scaling: float) -> Figure:
    """x → A → A·x → B → (α/r)·B·(A·x) from left to right, a number as large in one as in the other; red is above zero,
    blue below, each on its own scale. The r numbers in the middle stand under a lens."""
    (r, k), d, z = A.shape, len(B), A @ x
    gap = 0.14 * (d + k)
    tall, lens = max(d, k), r * CELL
    at_A = THICK + gap
    at_z = at_A + k + gap
    at_B = at_z + 2 * CELL + gap
    at_u = at_B + r + gap
    figure = Figure(figsize=(WIDTH, WIDTH * 1.24 * tall / (at_u + 8 * THICK)))
    figure.set_layout_engine("none")
    ax = figure.add_axes((0.01, 0, 0.98, 1))
    ax.axis("off")

    def draw(matrix: Tensor, left: float, width: float, height: float, words: str, color: str) -> None:
        one = (matrix / matrix.square().mean().sqrt()).numpy()
        box = (left, left + width, -height / 2, height / 2)
        ax.imshow(one, extent=box, cmap="RdBu_r", vmin=-3, vmax=3, interpolation="nearest", aspect="equal")
        under: dict[str, Any] = {"ha": "center", "va": "top", "size": 11, "weight": "bold"}
        ax.text(left + width / 2, -height / 2 - 14, words, color=color, **under)

    draw(x[:, None], 0, THICK, k, f"x\n{k}", GREY)
    draw(A, at_A, k, r, f"A\n{r}×{k}", BLUE)
    draw(z[:, None], at_z, 2 * CELL, lens, f"A·x\n{r} numbers,\nenlarged", BLUE)
    draw(B, at_B, r, d, f"B\n{d}×{r}", BLUE)
    draw((scaling * B @ z)[:, None], at_u, THICK, d, f"update\n{d}", BLUE)
    for sign in (1, -1):  # the lens; and what is spread
        ax.plot([at_A + k, at_z], [sign * r / 2, sign * lens / 2], color=GREY, lw=0.8, ls=":")
        ax.plot([THICK, at_A], [sign * k / 2, sign * r / 2], color=GREY, lw=0.8)
        ax.plot([at_z + 2 * CELL, at_B], [sign * lens / 2, sign * d / 2], color=GREY, lw=0.8, ls=":")
    ax.set(xlim=(-2 * THICK, at_u + 6 * THICK), ylim=(-0.72 * tall, 0.52 * tall), aspect="equal")
    return figure
