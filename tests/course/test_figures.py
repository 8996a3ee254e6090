"""Figures: one style, colours that colour-blind people can tell apart, and words below every picture."""

import itertools

import pytest
from matplotlib.figure import Figure

from lora_lessons import drawing

# Simulated full protanopia and deuteranopia (Viénot, Brettel and Mollon 1999), on linear RGB.
BLINDNESS = {
    "protanopia": ((0.11238, 0.88762, 0), (0.11238, 0.88762, 0), (0.00401, -0.00401, 1)),
    "deuteranopia": ((0.29275, 0.70725, 0), (0.29275, 0.70725, 0), (-0.02234, 0.02234, 1)),
}


def linear(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]


@pytest.mark.parametrize("kind", BLINDNESS)
def test_the_first_colours_stay_apart_for_colour_blind_eyes(kind):
    seen = [
        [sum(m * c for m, c in zip(row, linear(colour), strict=True)) for row in BLINDNESS[kind]]
        for colour in (drawing.BLUE, drawing.ORANGE, drawing.GREEN, drawing.GREY)
    ]
    for a, b in itertools.combinations(seen, 2):
        assert sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5 > 0.1


def test_show_puts_the_words_below_the_picture(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    drawing.show(Figure(figsize=(2, 1)), "a flat line.")
    picture, words = shown
    assert picture.data[:4] == b"\x89PNG" and picture.alt == "a flat line."
    assert words.data == "*In words:* a flat line."
    drawing.show(Figure(figsize=(2, 1)), "<img src=x> [a](b)")
    drawing.show(Figure(figsize=(2, 1)), "It falls.", "3 to 2 <nats>.")
    assert shown[4].alt == "It falls. 3 to 2 <nats>."
    assert shown[5].data.startswith("*In words:* It falls.\n\n<details>") and "3 to 2 &lt;nats&gt;." in shown[5].data
    assert shown[2].alt == "<img src=x> [a](b)" and shown[3].data == "*In words:* &lt;img src=x&gt; &#91;a&#93;(b)"
