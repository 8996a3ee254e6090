"""One figure style, colour-blind-safe (Okabe–Ito), with words below every picture; and pictures that several lessons draw."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from .. import memory
from ..outside import in_attribute, in_markdown, in_picture
from ..tools import planning

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Okabe and Ito's palette, in the order the course uses it: the thing measured, its rival, the control …
BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
VERMILION = "#D55E00"
SKY = "#56B4E9"
PURPLE = "#CC79A7"
GREY = "#5f6368"
PALETTE = [BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE]

IN_WORDS = "*In words:*"  # begins the summary below every picture


def use_style() -> None:
    """Set matplotlib's defaults for the course (safe to call again)."""
    import matplotlib as mpl
    from cycler import cycler

    mpl.rcParams.update(
        {
            "figure.figsize": (7.2, 3.8),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "axes.prop_cycle": cycler(color=PALETTE),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": GREY,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#e4e6e8",
            "grid.linewidth": 0.8,
            "lines.linewidth": 2.2,
            "legend.frameon": False,
            "font.size": 11,
            "image.cmap": "cividis",
            "svg.hashsalt": "lora-lessons",
        }
    )


def label(ax: Any, x: float, y: float, text: str, color: str, **kwargs: Any) -> None:
    """Write a line's name beside it, in its colour: the course has labels on lines instead of legends."""
    place = {"xytext": (6, 0), "textcoords": "offset points", "va": "center"} | kwargs
    ax.annotate(in_picture(text), (x, y), color=color, weight="bold", **place)


def show(figure: Figure, summary: str) -> None:
    """Display `figure` once, with `summary` below it for those who cannot see the picture.

    The summary is plain text, shown as it is: it may quote what others wrote.
    """
    import io

    import matplotlib.pyplot as plt
    from IPython.display import Image, Markdown, display

    png = io.BytesIO()
    figure.savefig(png, format="png", bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    display(Image(png.getvalue(), format="png", alt=summary, width=round(figure.get_figwidth() * 105)))
    display(Markdown(f"{IN_WORDS} {in_markdown(summary)}"))


def figure_html(figure: Figure, words: str, dpi: float, note: str = "") -> str:
    """`figure` and `words`, and a `note` on the picture itself, as one piece of HTML. Both are plain text, as in `show`."""
    import base64
    import io

    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=dpi, metadata={"Software": None})
    caption = in_markdown(" ".join(filter(None, [words, note])))
    return picture_html(base64.b64encode(png.getvalue()).decode(), words, caption)


# what `picture_html` writes, taken apart
PICTURE_HTML = re.compile(
    r'<figure[^>]*><img alt="(?P<alt>[^"]*)" src="data:image/png;base64,(?P<png>[\w+/=]+)">'
    r"<figcaption><i>In words:</i> (?P<words>.*)</figcaption></figure>",
    re.S,
)


def picture_html(png: str, words: str, caption: str) -> str:
    """A picture, the base64 of a PNG, with `words` for those who cannot see it; its `caption` is HTML."""
    return (
        f'<figure style="margin:0"><img alt="{in_attribute(words)}" src="data:image/png;base64,{png}">'
        f"<figcaption><i>In words:</i> {caption}</figcaption></figure>"
    )


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG in pixels, read from its first 24 bytes. Raises ValueError where it is cut short."""
    import struct

    if len(png) < 24:
        raise ValueError(f"a PNG of {len(png)} bytes is cut short.")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


# The parts of a bill as the pictures name and colour them; the model's own three lines are one part.
BILL_COLORS = {
    "weights": GREY,
    "adapters": ORANGE,
    "gradients": BLUE,
    "moments": GREEN,
    "activations": SKY,
    "logits, loss": PURPLE,
    "working": "#b58900",
    "driver, slack": "#9aa0a6",
}


def bill_parts(bill: memory.Bill) -> dict[str, float]:
    """Bytes by the parts of BILL_COLORS."""
    parts = (bill.weights, bill.adapters, bill.gradients, bill.optimizer, *bill[6:])
    return dict(zip(BILL_COLORS, parts, strict=True))


def bill_bar(ax: Any, y: float, bill: memory.Bill) -> None:
    """One stacked bar of a Bill in GB, its total at the end, its larger parts named."""
    left = 0.0
    for name, part in bill_parts(bill).items():
        size, color = part / memory.GB, BILL_COLORS[name]
        if not size:
            continue
        ax.barh(y, size, left=left, color=color, edgecolor="white", lw=0.4, height=0.6)
        if size > 0.11 * ax.get_xlim()[1]:
            ink = "black" if color == ORANGE else "white"
            ax.text(left + size / 2, y, name, ha="center", va="center", color=ink, size=9, weight="bold")
        left += size
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85}
    label(ax, left, y, f"{left:.1f} GB", "black", bbox=box)


def fit_bars(bills: Mapping[str, memory.Bill], cards: Sequence[str], when: str = "at the peak of a step") -> Figure:
    """One stacked bar a method, and a vertical line at what each card really holds; cards of one size share a line.

    `when` says on the axis which moment the bills describe.
    """
    figure = Figure(figsize=(8.4, 3.6))
    ax = figure.subplots()
    ax.set_xlim(0, 1.13 * max(bill.total for bill in bills.values()) / memory.GB)
    by_size: dict[float, list[str]] = {}
    for card in cards:
        by_size.setdefault(planning.card_bytes(card) / memory.GB, []).append(card)
    for size, names in by_size.items():
        ax.axvline(size, color=VERMILION, lw=1.2, ls="--", zorder=0.5)
        style: dict[str, Any] = {
            "color": VERMILION,
            "size": 9,
            "weight": "bold",
            "rotation": 55,
            "rotation_mode": "anchor",
        }
        place = ("data", "axes fraction")
        ax.annotate(", ".join(names), (size, 1.02), xycoords=place, ha="left", va="bottom", **style)
    for y, bill in enumerate(bills.values()):
        bill_bar(ax, y, bill)
    ax.set_yticks(range(len(bills)), list(bills))
    ax.set(ylim=(len(bills) - 0.5, -0.5), xlabel=f"GB {when} (dashed: what a card holds)")
    ax.grid(visible=False)
    return figure


def loss_curves(
    curves: Mapping[str, Sequence[float]], window: int = 5, title: str = "Same data, same seed, same steps"
) -> Figure:
    """Training loss against step: every step as a dot, its running mean over `window` steps as a line."""
    figure = Figure(figsize=(7.2, 3.6))
    ax = figure.subplots()
    ends = []
    for (name, losses), color in zip(curves.items(), (BLUE, ORANGE, GREEN), strict=False):
        steps = range(1, len(losses) + 1)
        smooth = [sum(losses[max(0, i - window) : i]) / min(i, window) for i in steps]
        ax.plot(steps, losses, ".", color=color, alpha=0.35, ms=5)
        ax.plot(steps, smooth, color=color)
        ends.append((smooth[-1], name, color))
    for place, (end, name, color) in enumerate(sorted(ends)):
        label(ax, len(losses), end, name, color, xytext=(6, 8 * (2 * place - len(ends) + 1)))
    ax.set(xlabel="step", ylabel="loss (nats a token)", title=title, ylim=(0, None))
    ax.set_xticks(range(0, len(losses) + 1, max(1, len(losses) // 6)))
    ax.set_xlim(right=1.3 * len(losses))
    return figure


def sweep_lines(
    lines: Mapping[str, Sequence[tuple[int, Any]]],
    ylabel: str = "held-out loss (nats)",
    title: str = "",
    percent: bool = False,
) -> Figure:
    """A quantity against r (log₂ axis), one line for each way to set α; bars are 95% intervals over seeds.

    `lines` holds {way: [(r, sweep.Summary)]}.
    """
    figure = Figure(figsize=(7.4, 3.9))
    ax = figure.subplots()
    ranks = sorted({r for points in lines.values() for r, _ in points})
    ends = []
    colors = (BLUE, ORANGE, VERMILION, GREEN, PURPLE, GREY, "black")
    for n, (way, points) in enumerate(lines.items()):
        color, dashes = colors[n % len(colors)], ("-", "--", ":")[n // len(colors) % 3]
        x = [r * 1.2 ** ((n + 0.5) / len(lines) - 0.5) for r, _ in points]  # side by side: the bars can be told apart
        ax.plot(x, [one.mean for _, one in points], "o", ls=dashes, color=color, ms=5)
        ax.vlines(x, [one.low for _, one in points], [one.high for _, one in points], color=color, lw=1.4, alpha=0.6)
        ends.append((points[-1][1].mean, way, color))
    if many := len(lines) > 6:  # no room beside the lines for so many names
        figure.set_figheight(3.9 + 0.12 * len(lines))
        figure.legend(list(ax.lines), list(lines), loc="outside lower center", ncols=2, fontsize=8)
    low, high = ax.get_ylim()
    last = float("-inf")
    for y, way, color in [] if many else sorted(ends):
        last = max(y, last + 0.07 * (high - low))
        label(ax, ranks[-1] * 1.15, last, way, color)
    ax.set_xscale("log", base=2)
    ax.set_xticks(ranks, [str(r) for r in ranks])
    ax.set_xlim(right=ranks[-1] * (1.3 if many else 3.2 if len(ranks) > 2 else 1.6))
    ax.set(xlabel="rank r", ylabel=ylabel, title=title)
    if percent:
        ax.yaxis.set_major_formatter(lambda y, _: f"{y:.1%}")
    return figure


def intervals(rows: Mapping[str, Any], reference: str, xlabel: str) -> Figure:
    """One row a contender: its mean and 95% interval, the reference's interval drawn through; apart or not is said.

    `rows` holds {name: sweep.Summary}; a row named "fair: …" is a dot, all others are squares.
    """
    figure = Figure(figsize=(8.0, 0.9 + 0.38 * len(rows)))
    ax, here = figure.subplots(), rows[reference]
    ax.axvspan(here.low, here.high, color=SKY, alpha=0.3, lw=0)
    for y, (name, s) in enumerate(rows.items()):
        apart = s.apart(here) and name != reference
        color = BLUE if name == reference else (GREEN if s.mean < here.mean else VERMILION) if apart else GREY
        ax.plot([s.low, s.high], [y, y], color=color, lw=2.4)
        ax.plot([s.mean], [y], "o" if name.startswith("fair") else "s", color=color, ms=7)
        said = ("lower" if s.mean < here.mean else "higher") if apart else "overlaps"
        label(ax, s.high, y, "the reference" if name == reference else said, color, size=9)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(ylim=(len(rows) - 0.5, -0.6), xlabel=xlabel)
    left, right = ax.get_xlim()
    ax.set_xlim(left, right + 0.15 * (right - left))
    ax.grid(axis="y", visible=False)
    return figure
