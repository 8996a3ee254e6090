"""The marks that move on a widget's stage: each kind is drawn in the still and placed on the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from ..outside import in_picture

DPI = 100  # the page's pixels an inch


class Mark(NamedTuple):
    """One moving thing: `columns` hold a value for each stop (or one for all), `style` what never changes."""

    kind: str  # dot, bar, text, line or product
    ax: Axes
    columns: dict[str, Any]
    style: dict[str, Any]

    def at(self, i: int) -> dict[str, Any]:
        """The columns' values at stop number `i`."""
        return {name: column[i if len(column) > 1 else 0] for name, column in self.columns.items()}


def pixels(ax: Axes, x: Any, y: Any, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Data coordinates of `ax` as pixels of the page, whose y axis points down."""
    x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
    places = ax.transData.transform(np.column_stack([x.ravel(), y.ravel()]))
    return places[:, 0].round(2), (height - places[:, 1]).round(2)


def _draw_dot(mark: Mark, i: int) -> None:
    at, style = mark.at(i), mark.style
    face = "none" if style["hollow"] else at["color"]
    mark.ax.plot([at["x"]], [at["y"]], "o", ms=style["size"], mfc=face, mec=at["color"], mew=2, zorder=5)


def _page_dot(mark: Mark, height: float) -> dict[str, Any]:
    x, y = pixels(mark.ax, mark.columns["x"], mark.columns["y"], height)
    face = ["none"] if mark.style["hollow"] else mark.columns["color"]
    radius, edge = mark.style["size"] * DPI / 144, mark.columns["color"]
    return {"x": x.tolist(), "y": y.tolist(), "r": radius, "fill": face, "stroke": edge}


def _draw_bar(mark: Mark, i: int) -> None:
    at = mark.at(i)
    mark.ax.add_patch(Rectangle((at["x"], at["y"]), at["width"], at["height"], color=mark.style["color"], lw=0.7))


def _page_bar(mark: Mark, height: float) -> dict[str, Any]:
    left, bottom, wide, tall = (np.asarray(mark.columns[name], float) for name in ("x", "y", "width", "height"))
    x0, y0 = pixels(mark.ax, left, bottom, height)
    x1, y1 = pixels(mark.ax, left + wide, bottom + tall, height)
    shape = np.broadcast(x0, x1)
    x0, y0, x1, y1 = (np.broadcast_to(v, shape.shape) for v in (x0, y0, x1, y1))
    # Its upper left corner, also where an axis runs the other way.
    corner = {"x": np.minimum(x0, x1).tolist(), "y": np.minimum(y0, y1).tolist()}
    size = {"width": np.abs(x1 - x0).tolist(), "height": np.abs(y1 - y0).tolist()}
    return corner | size | {"fill": mark.style["color"]}


def _draw_text(mark: Mark, i: int) -> None:
    at = mark.at(i)
    mark.ax.text(at["x"], at["y"], in_picture(at["text"]), color=at["color"], in_layout=False, **mark.style)


def _page_text(mark: Mark, height: float) -> dict[str, Any]:
    x, y = pixels(mark.ax, mark.columns["x"], mark.columns["y"], height)
    said = {"text": mark.columns["text"], "fill": mark.columns["color"]}
    style = {"ha": mark.style["ha"], "va": mark.style["va"], "size": mark.style["size"] * DPI / 72}
    return {"x": x.tolist(), "y": y.tolist()} | said | style


def _draw_line(mark: Mark, i: int) -> None:
    at = mark.at(i)
    mark.ax.plot(at["x"], at["y"], color=mark.style["color"], lw=mark.style["width"], ls=mark.style["dashes"] or "-")


def _page_line(mark: Mark, height: float) -> dict[str, Any]:
    paths = []
    for x, y in zip(mark.columns["x"], mark.columns["y"], strict=True):
        places = zip(*pixels(mark.ax, x, y, height), strict=True)
        paths.append("M" + "L".join(f"{px:.1f},{py:.1f}" for px, py in places) if len(x) else "")
    width = mark.style["width"] * DPI / 72
    return {"d": paths, "stroke": mark.style["color"], "width": width, "dashes": "6 4" if mark.style["dashes"] else ""}


def _draw_product(mark: Mark, i: int) -> None:
    s = mark.style
    r = s["ranks"][i]
    shown = s["B"][:, :r] @ s["A"][:r]
    mark.ax.imshow(shown, cmap=s["cmap"], vmin=s["low"], vmax=s["high"], aspect="auto", extent=(0, 1, 0, 1))


def _page_product(mark: Mark, height: float) -> dict[str, Any]:
    s, ((x0, x1), (y0, y1)) = mark.style, pixels(mark.ax, [0, 1], [0, 1], height)
    lut = colormaps[s["cmap"]](np.arange(256), bytes=True)[:, :3]
    place = {"x": x0, "y": y1, "width": x1 - x0, "height": y0 - y1}
    colors = {"low": s["low"], "high": s["high"], "lut": lut.tobytes()}
    factors = {"B": np.ascontiguousarray(s["B"].T).tobytes(), "A": np.ascontiguousarray(s["A"]).tobytes()}
    sizes = {"rows": len(s["B"]), "cols": s["A"].shape[1], "ranks": s["ranks"]}
    return place | sizes | colors | factors


DRAW: dict[str, Callable[[Mark, int], None]] = {
    "dot": _draw_dot,
    "bar": _draw_bar,
    "text": _draw_text,
    "line": _draw_line,
    "product": _draw_product,
}
PAGE: dict[str, Callable[[Mark, float], dict[str, Any]]] = {
    "dot": _page_dot,
    "bar": _page_bar,
    "text": _page_text,
    "line": _page_line,
    "product": _page_product,
}
