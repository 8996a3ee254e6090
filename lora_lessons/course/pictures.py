"""The few kinds of pictures that lessons draw from their own data: bars, lines, dots, a strip of images.

Each returns a figure in the house style for `show`, which wants the words below it. Names stand beside what they name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

from matplotlib.figure import Figure

from ..drawing import GREY, PALETTE, WIDTH, label

NAME = 24  # letters of a row's name in a line
MANY = 6  # lines at most that have their names beside them


def bars(
    values: Mapping[str, float],
    unit: str,
    title: str = "",
    colors: Mapping[str, str] | None = None,
    form: str = "{:.3g}",
) -> Figure:
    """A horizontal bar for each named value, from zero, the number at its end (written as `form` says)."""
    figure = Figure(figsize=(WIDTH, 0.9 + 0.42 * len(values)))
    ax = figure.subplots()
    names = list(values)
    shades = [(colors or {}).get(name, PALETTE[0]) for name in names]
    drawn = ax.barh([fill(name, NAME) for name in names], list(values.values()), color=shades, height=0.62)
    ax.bar_label(drawn, [form.format(value) for value in values.values()], padding=4)
    ax.invert_yaxis()
    ax.margins(x=0.14)
    ax.grid(axis="y", visible=False)
    ax.set(xlabel=unit, title=title)
    return figure


def lines(
    of: Mapping[str, Mapping[float, Any]],
    xlabel: str,
    ylabel: str,
    title: str = "",
    log_x: bool = False,
    colors: Mapping[str, str] | None = None,
) -> Figure:
    """A line for each name, {name: {x: y}}; where y is (low, middle, high), bars show the interval.

    With `log_x` the axis doubles from tick to tick, and each x has its own. The names of more than MANY lines stand
    below.
    """
    figure = Figure(figsize=(WIDTH, 3.9))
    ax = figure.subplots()
    xs = sorted({x for points in of.values() for x in points})
    ends = []
    for n, (name, given) in enumerate(of.items()):
        points = dict(sorted(given.items()))  # its name stands at the right end
        color = (colors or {}).get(name, PALETTE[n % len(PALETTE)])
        side = (n + 0.5) / len(of) - 0.5  # side by side: bars of the same x can be told apart
        x = [one * 1.15**side if log_x else one for one in points]
        y = [one[1] if isinstance(one, Sequence) else one for one in points.values()]
        dashes = ("-", "--", ":")[n // len(PALETTE) % 3]
        ax.plot(x, y, "o" if len(x) < 40 else "", ls=dashes, color=color, ms=5, label=name)
        spread = [(at, one) for at, one in zip(x, points.values(), strict=True) if isinstance(one, Sequence)]
        ax.vlines([at for at, _ in spread], [s[0] for _, s in spread], [s[2] for _, s in spread], color=color, lw=1.4)
        ends.append((y[-1], x[-1], name, color))
    if many := len(of) > MANY:
        figure.set_figheight(3.9 + 0.2 * len(of))
        figure.legend(loc="outside lower center", ncols=2, fontsize=10.5)
    low, high = ax.get_ylim()
    last = float("-inf")
    for y_end, x_end, name, color in [] if many else sorted(ends):
        last = max(y_end, last + 0.07 * (high - low))
        label(ax, x_end, last, name, color)
    if log_x:
        ax.set_xscale("log", base=2)
        ax.set_xticks(xs, [f"{x:g}" for x in xs])
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return figure


def dots(
    rows: Mapping[str, Sequence[float]],
    xlabel: str,
    title: str = "",
    at: Mapping[str, float] | None = None,
    colors: Mapping[str, str] | None = None,
) -> Figure:
    """A row for each name: a dot for each value, on one axis; a dashed line and its name at each place in `at`."""
    figure = Figure(figsize=(WIDTH, 1.3 + 0.45 * len(rows)))
    ax = figure.subplots()
    for n, (name, values) in enumerate(rows.items()):
        color = (colors or {}).get(name, PALETTE[0])
        ax.plot(list(values), [n] * len(values), "o", color=color, ms=7, alpha=0.8, mec="white")
    for words, x in (at or {}).items():
        ax.axvline(x, color=GREY, ls="--", lw=1.2)
        ax.annotate(words, (x, -0.6), color=GREY, xytext=(4, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(rows)), [fill(name, NAME) for name in rows])
    ax.set_ylim(len(rows) - 0.4, -0.9 if at else -0.6)
    ax.set(xlabel=xlabel, title=title)
    return figure


def images(of: Mapping[str, Any], signed: bool = False) -> Figure:
    """Matrices side by side, an entry as large in one as in the other: photographs, 0 black and 1 white, two in a row
    on a ground that suits a light page and a dark one; or, `signed`, red and blue around 0, each on its own scale."""
    across, shapes = len(of) if signed else min(2, len(of)), [one.shape for one in of.values()]
    rows, widths = -(-len(of) // across), [k for _, k in shapes[:across]]
    size = WIDTH, rows * ((0.4 if signed else 0.3) + WIDTH * max(d for d, _ in shapes) / sum(widths))
    figure = Figure(size, dpi=None if signed else 110, facecolor="white" if signed else "#1f2328")
    axes = figure.subplots(rows, across, squeeze=False, width_ratios=widths).flat
    for ax, (name, one) in zip(axes, of.items(), strict=True):
        top = float(abs(one).max()) or 1.0
        scale = {"cmap": "RdBu_r", "vmin": -top, "vmax": top} if signed else {"cmap": "gray", "vmin": 0, "vmax": 1}
        ax.imshow(one, interpolation="nearest", **scale)
        ax.set_title(name, fontsize=10.5, weight="normal", loc="center", color="black" if signed else "white")
        ax.set(xticks=[], yticks=[])
    return figure
