"""Whoever follows a link to a place on a page sees that place, also after the widgets above it have come to life."""

from __future__ import annotations

import pytest

from .conftest import DESKTOP, PHONE

LIVES = "() => [...document.querySelectorAll('.live-widget')].map((one) => one.dataset.life)"
SETTLED = "() => ![...document.querySelectorAll('.live-widget')].some((one) => one.dataset.life === 'waking')"
TOP = "() => document.getElementById(location.hash.slice(1)).getBoundingClientRect().top"


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("place", ["09_adapters.html#one-base-four-files", "00_start_here.html#inside-the-model", "03_train_lora.html#what-it-cost"])  # fmt: skip
def test_a_place_below_widgets_is_where_the_reader_looks(visit, place, size):
    page = visit(f"lessons/{place}", size).page
    page.wait_for_timeout(1000)
    page.wait_for_function(SETTLED)
    assert -5 <= page.evaluate(TOP) <= 140
    assert "live" in page.evaluate(LIVES) or size == PHONE or "cost" in place, "one above it came to life meanwhile"


def test_a_reader_who_moves_is_left_alone(visit):
    page = visit("lessons/01_low_rank.html#cell-01a2prec").page
    assert page.locator("#cell-01a2prec").get_attribute("open") is not None, "what was folded is what they came for"
    page.mouse.move(640, 450)
    page.mouse.wheel(0, 900)
    page.wait_for_function("() => document.getElementById('cell-01a2prec').getBoundingClientRect().top < -400")
    page.evaluate("document.querySelector('article').append(document.createElement('hr'))")
    page.wait_for_timeout(200)
    assert page.evaluate(TOP) < -400
