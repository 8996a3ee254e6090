"""The front page's scene plays once by itself.

Whoever follows a link to a place on a page sees that place, also after the widgets above it have come to life."""

import pytest
from playwright.sync_api import expect

from .conftest import DESKTOP, PHONE

LIVES = "() => [...document.querySelectorAll('.live-widget')].map((one) => one.dataset.life)"
SETTLED = "() => ![...document.querySelectorAll('.live-widget')].some((one) => one.dataset.life === 'waking')"
ON_ITS_WAY = """holder => {
    const box = holder.closest(".output");
    holder.insertAdjacentHTML("beforeend", "<div class='coming'><p style='height: 3000px'></p></div>");
    return [box.scrollHeight - box.clientHeight, holder.lastChild.remove()][0];
}"""
TOP = "() => document.getElementById(location.hash.slice(1)).getBoundingClientRect().top"


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize(
    "place",
    ["09_adapters.html#one-base-four-files", "00_start_here.html#inside-the-model", "03_train_lora.html#what-it-cost"],
)
def test_a_place_below_widgets_is_where_the_reader_looks(visit, place, size):
    page = visit(f"lessons/{place}", size).page
    if size != PHONE and "cost" not in place:
        page.wait_for_function(f"() => ({LIVES})().includes('live')")  # one above it comes to life meanwhile
    page.wait_for_timeout(1000)
    page.wait_for_function(SETTLED)
    page.wait_for_function(f"() => -5 <= ({TOP})() && ({TOP})() <= 140")


def test_a_widget_that_comes_late_moves_nothing_either(visit):
    """On a slow machine or line it is on its way for longer than the page usually takes to settle."""
    visitor, held, late = visit("index.html"), [], [True]
    visitor.page.route("**/_static/widgets/*", lambda route: held.append(route) if late else route.fallback())
    visitor.page.clock.install()
    visitor.page.goto(f"{visitor.home}/lessons/09_adapters.html#one-base-four-files", wait_until="domcontentloaded")
    visitor.page.wait_for_function(f"() => ({LIVES})().includes('waking')")
    assert visitor.page.locator(".output .live-widget").first.evaluate(ON_ITS_WAY) == 0, "the unseen makes it scroll"
    for _ in range(3):
        visitor.page.clock.fast_forward(20_000)
    late.clear()
    for route in held:
        route.continue_()
    visitor.page.wait_for_function(f"() => ({LIVES})().includes('live')")
    visitor.page.wait_for_function(SETTLED)
    visitor.page.wait_for_function(f"() => -5 <= ({TOP})() && ({TOP})() <= 140")


def test_a_reader_who_moves_is_left_alone(visit):
    lesson = "lessons/01_low_rank.html"
    cell = visit(lesson).page.locator("span[id^='cell-']").first.get_attribute("id")
    page = visit(f"{lesson}#{cell}").page
    page.mouse.move(640, 450)
    page.mouse.wheel(0, 900)
    page.wait_for_function(f"() => ({TOP})() < -400")
    page.evaluate("document.querySelector('article').append(document.createElement('hr'))")
    page.wait_for_timeout(200)
    assert page.evaluate(TOP) < -400


def test_the_first_scene_plays_once_to_the_answer_and_stands_still_for_who_wants_no_motion(visit):
    page = visit("index.html").page
    slider, answer = page.locator(".stage input[type=range]"), page.locator(".stage [data-who=Model]")
    expect(slider).not_to_have_value("24")
    expect(slider).to_have_value("24", timeout=30_000)
    expect(answer).to_contain_text("Keep the lamp lit.")
    page.emulate_media(reduced_motion="reduce")
    page.reload()
    expect(page.locator(".live-widget")).to_have_attribute("data-life", "live")
    page.wait_for_timeout(700)
    expect(slider).to_have_value("24")
