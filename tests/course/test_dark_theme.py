"""What a lesson shows can be read on a dark page and on a phone: a picture brings its own ground,
a text no colour without one, and the type of a figure is large enough."""

import base64
import io
import re
from collections.abc import Iterator

import nbformat
import numpy as np
import pytest
from PIL import Image

from lora_lessons.course import figures, pictures
from lora_lessons.course.lesson import lessons, side_trips
from lora_lessons.course.page_half import SHARED
from lora_lessons.drawing import GREY, PALETTE, ink

STYLES = re.compile(r"""style=(?:'([^']*)'|"([^"]*)")|<style>(.*?)</style>|(bgcolor|<font)""", re.S)
STILL, WIDGET = "(A picture of a widget: ", ", a widget"
PICTURE = re.compile(r"data:image/png;base64,([^\"']+)")


def shown() -> Iterator[tuple[str, str, str]]:
    """(cell, kind, content) of every stored output in HTML or PNG."""
    for path in [*lessons(), *side_trips()]:
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells, 1):
            for output in cell.get("outputs", []):
                for kind in ("text/html", "image/png"):
                    if content := output.get("data", {}).get(kind):
                        yield f"{path.stem}, cell {number}{WIDGET * (STILL in str(cell.outputs))}", kind, content


def alone(html: str) -> list[str]:
    """Styles that set a text's colour without its ground, or the other way round."""
    styles = ["".join(filter(None, found)) for found in STYLES.findall(html)]
    text, ground = re.compile(r"(?<![\w-])color\s*:|<font"), re.compile(r"(?<![\w-])background(-color)?\s*:|bgcolor")
    return [style for style in styles if bool(text.search(style)) != bool(ground.search(style))]


@pytest.mark.parametrize(
    ("style", "wrong"),
    [
        ("color:#000", True),
        ("background:#fff;padding:1em", True),
        ("color:#000;background-color:#fff", False),
        ("border:1px solid #ccd;border-left-color:red", False),
    ],
)
def test_a_colour_without_its_ground_is_seen(style, wrong):
    assert bool(alone(f"<p style='{style}'>a</p>")) == wrong
    assert bool(alone(f'<p style="{style}">a</p>')) == wrong


def test_no_output_of_a_lesson_sets_a_texts_colour_without_its_ground():
    assert [(cell, style) for cell, kind, html in shown() if kind == "text/html" for style in alone(html)] == []


def test_every_picture_of_a_lesson_is_opaque():
    within = {"text/html": PICTURE.findall, "image/png": lambda png: [png]}
    pictures = [(cell, picture) for cell, kind, content in shown() for picture in within[kind](content)]
    images = [(cell, Image.open(io.BytesIO(base64.b64decode(picture)))) for cell, picture in pictures]
    clear = [cell for cell, one in images if one.convert("RGBA").getextrema()[3] != (255, 255)]
    assert len(pictures) > 60 and clear + [cell for cell, one in images if "transparency" in one.info] == []


def on_a_phone(png: str) -> float:
    """Pixels that the smallest type of a figure has on a screen of 390, where a figure is 358 wide."""
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    return float(image.text.get("Smallest type", 0)) / 72 * image.info["dpi"][0] * 358 / image.width


def test_on_a_phone_the_smallest_type_of_every_figure_can_be_read():
    """A widget's still is not asked: on a page the widget takes its place, and draws itself anew for a phone."""
    read = {cell: on_a_phone(one) for cell, kind, one in shown() if kind == "image/png" and not cell.endswith(WIDGET)}
    assert len(read) > 50 and {cell: pixels for cell, pixels in read.items() if pixels < 9} == {}


# ---- the palette of widgets and pictures, by day and by night ----

WORDS = (
    "ink ground, muted ground, accent ground, alarm ground, on-accent accent, "
    "ink quiet, muted quiet, ink tint, ink note"
)


def palettes():
    """The colours by name: those of the day, and twice those of the night."""
    sheet = SHARED.with_suffix(".css").read_text(encoding="utf-8")
    return [dict(re.findall(r"--w-([\w-]+): (.*?);", block)) for block in re.findall(r"\{ (--w-scheme: .*?) \}", sheet)]


def rgb(color):
    return [int(n, 16) / 255 for n in re.findall(r"\w\w", color)]


def contrast(one, other):
    """WCAG's, of two colours as shares of red, green and blue."""
    linear = [[c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color] for color in (one, other)]
    low, high = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05 for r, g, b in linear)
    return high / low


def by_night(color, share):
    """invert(share) hue-rotate(180deg), as a browser computes it."""
    red, green, blue = (c * (1 - 2 * share) + share for c in color)
    twice = 2 * (0.213 * red + 0.715 * green + 0.072 * blue)
    return [min(1, max(0, twice - c)) for c in (red, green, blue)]


def test_words_have_contrast_by_day_and_by_night_in_widgets_and_in_pictures():
    day, night, again = palettes()
    assert night == again and day.keys() == night.keys()
    for colors in (day, night):
        pairs = {pair: [rgb(colors[name]) for name in pair.split()] for pair in WORDS.split(", ")}
        assert [pair for pair, two in pairs.items() if contrast(*two) < 4.5] == []
    share = float(re.search(r"invert\((.*?)\) hue-rotate\(180deg\)", night["picture"])[1])
    for color in (rgb(ink(one)) for one in (*PALETTE, GREY, *figures.BILL_COLORS.values())):
        assert contrast(color, [1, 1, 1]) >= 4.5 <= contrast(by_night(color, share), by_night([1, 1, 1], share)), color
    assert contrast(pictures.images({"a cat": np.ones((2, 3))}).get_facecolor()[:3], [1, 1, 1]) >= 4.5, "its words"
