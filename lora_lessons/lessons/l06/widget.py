"""Sixteen marks: drag them over a layer's histogram, and try to beat NF4's error.

The page works the error out by itself (marks.js), so the game is the same where no Python runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from ... import quant
from ...course.on_the_web import SCENE, kind
from ...course.page_half import page_half
from ...drawing import BLUE, GREY, figure_html

HERE = Path(__file__).parent
PLACES = torch.linspace(-1, 1, 401)  # where a mark can stand; the histogram's bars are as wide
NOTE = "Your browser works the error out by itself. In JupyterLab the lesson's next cell takes your marks."


class SixteenMarks(anywidget.AnyWidget):
    """Marks to drag; `marks` are those of the learner, from −1 to 1 in order."""

    _esm = page_half(HERE / "marks.js")
    _css = page_half(HERE / "marks.css")
    energy: Any = traitlets.List().tag(
        sync=True
    )  # of each place: what its weights add to the sum of all squares, 1 in all
    nf4: Any = traitlets.List().tag(sync=True)
    marks: Any = traitlets.List().tag(sync=True)

    def error(self, marks: list[float]) -> float:
        """The relative error that these marks leave, as the page works it out."""
        apart = (PLACES[:, None] - torch.tensor(marks)).abs().amin(1)
        return float((torch.tensor(self.energy) * apart.square()).sum().sqrt())

    def still(self) -> tuple[Figure, str]:
        """The marks as they stand, over the histogram, and the sentence below them."""
        figure = Figure(figsize=(7.2, 3.2))
        ax = figure.subplots()
        ax.hist(PLACES, bins=81, weights=self.energy, range=(-1.0125, 1.0125), color="#c3c7cb")
        top = ax.get_ylim()[1]
        ax.vlines(self.nf4, 0, top, color=GREY, lw=1.2, ls="--")
        ax.vlines(self.marks, -0.15 * top, top, color=BLUE, lw=1.8)
        ax.plot(self.marks, [-0.15 * top] * len(self.marks), "o", color=BLUE, ms=8)
        ax.set(yticks=[], xlabel="weight, as a part of its block's absmax")
        ax.set_title("Sixteen marks (blue) against NF4's (dashed)")
        ax.grid(visible=False)
        yours, rival = self.error(self.marks), self.error(self.nf4)
        return figure, (
            f"a histogram of weights, each as a part of its block's absmax, and {len(self.marks)} marks that can be "
            f"dragged. As they stand, their error is {yours:.2%}; NF4's is {rival:.2%}."
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0]["text/html"] = figure_html(*self.still(), 110, "(A picture of a widget: run the cell to play.)")
            state = {"energy": self.energy, "nf4": self.nf4, "marks": self.marks}
            bundle[0][SCENE] = {
                "name": "sixteen_marks",
                "kind": "sixteen_marks",
                "note": NOTE,
                "state": state,
                "answers": {},
            }
        return bundle


def sixteen_marks(W: Tensor) -> SixteenMarks:
    """Drag sixteen marks over the weights of W, each divided by the absmax of its block of 64.

    Raises ValueError where W has fewer than 64 weights, or only zeros.
    """
    blocks = W.detach().flatten().float().cpu()
    blocks = blocks[: len(blocks) // 64 * 64].view(-1, 64)
    if not blocks.any():
        raise ValueError("there is nothing to put marks on: give a matrix of at least 64 weights, not all of them 0.")
    absmax = blocks.abs().amax(1, keepdim=True).clamp(min=1e-38)
    place = ((blocks / absmax + 1) * 200).round().long().flatten()
    energy = torch.zeros(len(PLACES)).index_add_(0, place, absmax.square().expand_as(blocks).flatten())
    energy /= (energy * PLACES.square()).sum()
    return SixteenMarks(
        energy=[round(one, 6) for one in energy.tolist()],
        nf4=[round(one, 6) for one in quant.levels("nf4").tolist()],
        marks=[round(-1 + 2 * k / 15, 6) for k in range(16)],
    )


kind("sixteen_marks", HERE / "marks.js", HERE / "marks.css")
