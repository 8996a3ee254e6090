"""What stands still behind the marks of a widget: a figure as the page shows it, and as a phone does."""

from __future__ import annotations

import copy
import io
from collections.abc import Sequence
from functools import cached_property
from itertools import count
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.layout_engine import ConstrainedLayoutEngine

DPI = 100  # the page's pixels an inch
NARROW = 4.2  # inches across, on a phone
LINE = 40  # characters of a title or of an axis' name there

_ids = count(1)


class Backdrop:
    """A figure without its moving marks: drawn once, also when several scenes are played before it.

    On a phone it is drawn anew, NARROW inches wide: its panels one below the other, each as many inches `tall`. Axes
    that were placed by hand go to `places` there, (left, bottom, width, height) as shares of the picture.
    """

    def __init__(
        self, figure: Figure, tall: Sequence[float] = (2.8,), places: Sequence[tuple[float, float, float, float]] = ()
    ) -> None:
        self.figure, self._tall, self._places = figure, tall, places
        self._arranged = isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine)

    @cached_property
    def page(self) -> dict[str, Any]:
        """The figure as PNG, its width, height and axes in the page's pixels, and the same of it on a phone.

        From now on its layout stands still.
        """
        return {"id": next(_ids)} | _drawn(self.figure, 2) | {"narrow": _drawn(self.narrow(), 1.5)}

    def narrow(self) -> Figure:
        """A copy of the figure as a phone shows it."""
        figure = copy.deepcopy(self.figure)
        if self._arranged:
            figure.set_layout_engine("constrained")
        figure.set_size_inches(NARROW, sum(self._tall))
        panels = [ax for ax in figure.axes if ax.get_subplotspec()]
        grid = GridSpec(len(panels) or 1, 1, figure, height_ratios=self._tall)
        for number, ax in enumerate(panels):
            ax.set_subplotspec(grid[number])
        for ax, box in zip(figure.axes, self._places, strict=False):
            ax.set_position(box)
        for ax in figure.axes:
            if (title := ax.get_title(loc="left")).strip():  # a blank one keeps room for what moves
                ax.set_title(fill(title, LINE), loc="left", size=10)
            ax.set_xlabel(fill(ax.get_xlabel(), LINE))
        for text in (*figure.texts, *(text for ax in figure.axes for text in ax.texts)):
            text.set_fontsize(min(text.get_fontsize(), 10))
        return figure


def _drawn(figure: Figure, sharp: float) -> dict[str, Any]:
    """A figure as PNG, its width and height, and of each of its axes left, top, width and height, in the page's pixels.

    The PNG has `sharp` times as many pixels across as the page, for sharp screens.
    """
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    width, height = (figure.get_size_inches() * DPI).round(1)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=sharp * DPI, metadata={"Software": None})
    boxes = [[ax.bbox.x0, height - ax.bbox.y1, ax.bbox.width, ax.bbox.height] for ax in figure.axes]
    axes = [[round(float(side), 1) for side in box] for box in boxes]
    return {"width": float(width), "height": float(height), "png": png.getvalue(), "axes": axes}


def pixels(ax: Axes, x: Any, y: Any, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Data coordinates of `ax` as pixels of the page, whose y axis points down."""
    x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
    places = ax.transData.transform(np.column_stack([x.ravel(), y.ravel()]))
    return places[:, 0].round(2), (height - places[:, 1]).round(2)
