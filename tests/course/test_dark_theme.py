"""What a lesson shows can be read on a dark page, too: a picture brings its own ground,
and a text no colour without one."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator

import nbformat
import pytest
from PIL import Image

from lora_lessons.course.lesson import lessons, side_trips

STYLES = re.compile(r"""style=(?:'([^']*)'|"([^"]*)")|<style>(.*?)</style>|(bgcolor|<font)""", re.S)
PICTURE = re.compile(r"data:image/png;base64,([^\"']+)")


def shown() -> Iterator[tuple[str, str, str]]:
    """(cell, kind, content) of every stored output in HTML or PNG."""
    for path in [*lessons(), *side_trips()]:
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells, 1):
            for output in cell.get("outputs", []):
                for kind in ("text/html", "image/png"):
                    if content := output.get("data", {}).get(kind):
                        yield f"{path.stem}, cell {number}", kind, content


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
    seen = 0
    for cell, kind, content in shown():
        for picture in PICTURE.findall(content) if kind == "text/html" else [content]:
            image = Image.open(io.BytesIO(base64.b64decode(picture)))
            assert "transparency" not in image.info and image.convert("RGBA").getextrema()[3] == (255, 255), cell
            seen += 1
    assert seen > 60
