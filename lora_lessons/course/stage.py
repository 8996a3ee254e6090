"""What widgets stand on: matplotlib draws a figure once, and the page moves only what moves."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import anywidget
import numpy as np
import traitlets
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from ..drawing import figure_html, ink
from ..outside import in_picture
from .backdrop import DPI, Backdrop, pixels
from .page_half import page_half


class Scene:
    """A backdrop, the stops of its slider, what moves before it, and a sentence for each stop.

    `locked` names controls that have no say in this scene; `moved` is the stop that the slider goes to instead of the
    one it was asked for.
    """

    def __init__(
        self,
        backdrop: Backdrop,
        stops: Sequence[float],
        words: Sequence[str],
        locked: Sequence[str] = (),
        moved: float | None = None,
    ) -> None:
        self.moved = moved
        self.backdrop, self.stops, self.words, self.locked = backdrop, list(stops), list(words), list(locked)
        self.marks: list[Mark] = []
        self._grab: tuple[Axes, tuple[tuple[str, Sequence[float]], ...]] | None = None

    def dot(self, ax: Axes, x: Any, y: Any, color: Any, size: float = 9, hollow: bool = False) -> None:
        """A point, `size` in points across, at data coordinates; the colour may change with the stop, too."""
        self._add("dot", ax, {"x": x, "y": y, "color": color}, {"size": size, "hollow": hollow})

    def bar(self, ax: Axes, x: Any, y: Any, width: Any, height: Any, color: str) -> None:
        """A filled rectangle from its lower left corner, in data coordinates; the thinnest still shows its colour."""
        self._add("bar", ax, {"x": x, "y": y, "width": width, "height": height}, {"color": color})

    def text(self, ax: Axes, x: Any, y: Any, text: Any, color: Any, size: float = 10, **align: str) -> None:
        """Words at a place in data coordinates; `align` is matplotlib's ha and va, `color` may change with the stop."""
        style = {"size": size, "ha": "left", "va": "center", "weight": "bold"} | align
        inks = ink(color) if isinstance(color, str) else [ink(one) for one in color]
        self._add("text", ax, {"x": x, "y": y, "text": text, "color": inks}, style)

    def line(self, ax: Axes, x: Any, y: Any, color: str, width: float = 2.0, dashes: str = "") -> None:
        """A line through the points (x, y): each a list of numbers for each stop."""
        columns = {"x": [np.asarray(row, float) for row in x], "y": [np.asarray(row, float) for row in y]}
        self.marks.append(Mark("line", ax, columns, {"color": color, "width": width, "dashes": dashes}))

    def product(self, ax: Axes, B: Tensor, A: Tensor, cmap: str, low: float, high: float) -> None:
        """The matrix B[:, :r] · A[:r] as a picture that fills `ax`: at the stop r, r directions of it."""
        ax.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
        ax.grid(visible=False)
        factors = {"B": B.float().cpu().numpy(), "A": A.float().cpu().numpy()}
        ranks = {"ranks": [int(stop) for stop in self.stops]}
        self.marks.append(Mark("product", ax, {}, {"cmap": cmap, "low": low, "high": high} | ranks | factors))

    def grab(self, ax: Axes, x: tuple[str, Sequence[float]], y: tuple[str, Sequence[float]]) -> None:
        """Two controls that the pointer moves at once: pressed or dragged on `ax`, each goes to its nearest stop.

        `x` and `y` are the names of two sliders and their stops, in data coordinates of `ax`.
        """
        self._grab = ax, (x, y)

    def _handle(self, height: float) -> dict[str, Any]:
        """Where the page takes the pointer: each control's stops and their places in pixels."""
        if self._grab is None:
            return {}
        ax, ((x, across), (y, up)) = self._grab
        columns, rows = pixels(ax, across, 0, height)[0], pixels(ax, 0, up, height)[1]
        both = {"x": (x, across, columns), "y": (y, up, rows)}
        number = self.backdrop.figure.axes.index(ax)
        return {
            side: {"name": name, "ax": number, "stops": list(stops), "places": places.tolist()}
            for side, (name, stops, places) in both.items()
        }

    def _add(self, kind: str, ax: Axes, columns: Mapping[str, Any], style: dict[str, Any]) -> None:
        listed = {name: [c] if isinstance(c, str) or np.ndim(c) == 0 else list(c) for name, c in columns.items()}
        if wrong := [name for name, c in listed.items() if len(c) not in (1, len(self.stops))]:
            raise ValueError(f"{kind}: {wrong[0]} has {len(listed[wrong[0]])} values for {len(self.stops)} stops.")
        self.marks.append(Mark(kind, ax, listed, style))

    def still(self, stop: float) -> tuple[Figure, str]:
        """A copy of the figure with everything at `stop`, and its sentence."""
        i, bare = self.stops.index(stop), self.backdrop.figure
        figure = copy.deepcopy(bare)  # the bare one may stand behind other scenes
        axes = dict(zip(bare.axes, figure.axes, strict=True))
        for mark in self.marks:
            DRAW[mark.kind](mark._replace(ax=axes[mark.ax]), i)
        return figure, self.words[i]

    def page(self) -> dict[str, Any]:
        """What the page needs before the backdrop: each mark with its places in pixels, the stops, the sentences."""
        height = self.backdrop.page["height"]  # drawn first: only then do the places stand
        axes = self.backdrop.figure.axes
        marks = [{"kind": mark.kind, "ax": axes.index(mark.ax)} | PAGE[mark.kind](mark, height) for mark in self.marks]
        ours = self.backdrop.page["id"]
        shown = {"backdrop": ours, "stops": self.stops, "words": self.words, "locked": self.locked, "marks": marks}
        return shown | {"grab": self._handle(height)}


def slider(name: str, label: str, stops: Sequence[float] = ()) -> dict[str, Any]:
    """A slider with a box to type in; without stops of its own it takes those of the scene."""
    return {"kind": "slider", "name": name, "label": label, "stops": list(stops)}


def whole(name: str, value: Any) -> int:
    """`value` as typed, if it is a whole number. Raises ValueError with what to type instead."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value % 1:
        raise ValueError(f"{name} is a whole number such as 8; got {value!r}.")
    return int(value)


def number(name: str, label: str) -> dict[str, Any]:
    """A box to type a number in."""
    return {"kind": "number", "name": name, "label": label}


def choice(name: str, label: str, options: Sequence[str]) -> dict[str, Any]:
    """A list to choose from."""
    return {"kind": "choice", "name": name, "label": label, "options": list(options)}


class Stage(anywidget.AnyWidget):
    """Controls above a scene. `compose(**values)` makes the scene; the slider `axis` moves along its stops in the page.

    A ValueError of `compose` is shown as its sentence, and the last good picture stays. Where no kernel runs, the
    widget shows itself as a still with a caption.
    """

    _esm = page_half(Path(__file__).with_name("stage.js"))
    _css = page_half(Path(__file__).with_name("stage.css"))
    controls: Any = traitlets.List().tag(sync=True)
    axis = traitlets.Unicode().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    backdrop = traitlets.Dict().tag(sync=True)
    scene = traitlets.Dict().tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)
    follow = traitlets.Bool(False).tag(sync=True)  # the page scrolls to it when it is shown
    answered = traitlets.Dict().tag(sync=True)  # the values that `scene` and `said` answer

    def __init__(
        self, compose: Callable[..., Scene], axis: str, controls: Sequence[dict[str, Any]], **values: Any
    ) -> None:
        super().__init__(controls=list(controls), axis=axis, values=values)
        self._compose, self._shown, self.answered = compose, values, values
        self._set(compose(**values))
        self.observe(self._answer, "values")

    def _set(self, scene: Scene) -> None:
        self._scene = scene
        self.backdrop = scene.backdrop.page  # one that is there already is not sent again
        self.scene = scene.page()

    def _answer(self, _: Any = None) -> None:
        """Compose anew, unless all that changed is a stop that the page finds by itself."""
        asked = dict(self.values)
        others_stay = all(asked[name] == value for name, value in self._shown.items() if name != self.axis)
        known = asked[self.axis] in self.scene["stops"] and not isinstance(asked[self.axis], bool)  # True == 1
        with self.hold_sync():  # one message
            self.said = ""
            try:
                if not (others_stay and known):
                    self._set(self._compose(**asked))
                    if self._scene.moved is not None:
                        asked = asked | {self.axis: self._scene.moved}
                self._shown = asked
            except ValueError as error:
                self.said = str(error)
                if known:  # the page has moved there, in the last good scene
                    self._shown = self._shown | {self.axis: asked[self.axis]}
            self.answered = asked
            if asked[self.axis] is self._scene.moved:
                self.values = asked  # asks once more, and now it is a known stop

    def still(self) -> tuple[Figure, str]:
        """The figure of the last values that could be shown, and its sentence."""
        return self._scene.still(self._shown[self.axis])

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0]["text/html"] = still_html(*self.still())
        return bundle


def still_html(figure: Figure, words: str) -> str:
    """A figure and its caption as HTML, for a page without a kernel."""
    return figure_html(figure, words, DPI, "(A picture of a widget: run the cell to move it.)")


class Mark(NamedTuple):
    """One moving thing: `columns` hold a value for each stop (or one for all), `style` what never changes."""

    kind: str  # dot, bar, text, line or product
    ax: Axes
    columns: dict[str, Any]
    style: dict[str, Any]

    def at(self, i: int) -> dict[str, Any]:
        """The columns' values at stop number `i`."""
        return {name: column[i if len(column) > 1 else 0] for name, column in self.columns.items()}


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
    texts = {"text": mark.columns["text"], "fill": mark.columns["color"]}
    style = {"ha": mark.style["ha"], "va": mark.style["va"], "size": mark.style["size"] * DPI / 72}
    return {"x": x.tolist(), "y": y.tolist()} | texts | style


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
