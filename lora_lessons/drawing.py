"""One figure style, colour-blind-safe (Okabe–Ito), with words below every picture."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .outside import in_attribute, in_markdown, in_picture

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

# The same hues for words, which need more contrast than a line or a bar: 4.5 on white.
_INKS = {ORANGE: "#8a5f00", GREEN: "#007a59", VERMILION: "#b54c00", SKY: "#1f73a8", PURPLE: "#a2487b"}
_INKS |= {"#b58900": "#7a5c00", "#9aa0a6": GREY}

WIDTH = 5.6  # inches: on a phone, 358 pixels of the page, type of 10.5 points is 9 pixels high
IN_WORDS = "*In words:*"  # begins the summary below every picture


def use_style() -> None:
    """Set matplotlib's defaults for the course (safe to call again)."""
    import matplotlib as mpl
    from cycler import cycler

    mpl.rcParams.update(
        {
            "figure.figsize": (WIDTH, 3.5),
            "figure.dpi": 144,
            "figure.constrained_layout.use": True,
            "axes.prop_cycle": cycler(color=PALETTE),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": GREY,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.titlesize": 12,
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


def ink(color: str) -> str:
    """The colour for words about what is drawn in `color`."""
    return _INKS.get(color, color)


def label(ax: Any, x: float, y: float, text: str, color: str, **kwargs: Any) -> None:
    """Write a line's name beside it, in its colour: the course has labels on lines instead of legends."""
    place = {"xytext": (6, 0), "textcoords": "offset points", "va": "center"} | kwargs
    ax.annotate(in_picture(text), (x, y), color=ink(color), weight="bold", **place)


def show(figure: Figure, summary: str, numbers: str = "") -> None:
    """Display `figure` once, with `summary` below it for those who cannot see the picture,
    and its `numbers` folded away.

    Both are plain text, shown as they are: they may quote what others wrote.
    """
    import matplotlib.pyplot as plt
    from IPython.display import Image, Markdown, display

    png = as_png(figure)
    plt.close(figure)
    alt = f"{summary} {numbers}".strip()
    photograph = any(image.get_cmap().name == "gray" for ax in figure.axes for image in ax.images)
    kept = {"needs_background": "light"} if photograph else {}  # JupyterLab's word: it stays as it is on a dark page
    display(Image(png, format="png", alt=alt, width=round(figure.get_figwidth() * 105), metadata=kept))
    folded = f"\n\n<details><summary>The numbers</summary>\n\n{in_markdown(numbers)}\n\n</details>" if numbers else ""
    display(Markdown(f"{IN_WORDS} {in_markdown(summary)}{folded}"))


def as_png(figure: Figure, dpi: float | str = "figure") -> bytes:
    """`figure` as PNG, which tells the points of its smallest type: a test wants it readable on a phone."""
    import io

    from matplotlib.text import Text

    png = io.BytesIO()
    for ax in figure.axes:
        titles = [one for one in ax.get_children() if isinstance(one, Text) and one not in ax.texts]
        for words in (*titles, ax.xaxis.label):
            words.set_wrap(True)
    figure.draw_without_rendering()  # only then do its axes have their words
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    smallest = min((text.get_fontsize() for text in shown), default=0)
    told = {"Software": None, "Smallest type": f"{smallest:g}"}
    figure.savefig(png, format="png", dpi=dpi, metadata=told)
    return png.getvalue()


def figure_html(figure: Figure, words: str, dpi: float, note: str = "") -> str:
    """`figure` and `words`, and a `note` on the picture itself, as one piece of HTML. Both are plain text,
    as in `show`."""
    import base64

    caption = in_markdown(" ".join(filter(None, [words, note])))
    return picture_html(base64.b64encode(as_png(figure, dpi)).decode(), words, caption)


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
