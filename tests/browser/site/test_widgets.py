"""The widgets of the site, with no kernel and no network: every control moved,
and the words held against Python's own."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from lora_lessons.course.on_the_web import LIVE
from lora_lessons.course.stage import Stage
from lora_lessons.drawing import use_style
from lora_lessons.lessons import rooms

from ..conftest import UNDER_ITS_MARKS
from ..conftest import Stage as Shown
from .conftest import DESKTOP, PHONE

rooms()
STAGES = sorted(LIVE)
SIZES = {"desktop": DESKTOP, "phone": PHONE}


@cache
def in_python(name: str) -> Stage:
    """The widget itself."""
    use_style()
    made: Stage = LIVE[name].make()
    return made


def page_with(site: Path, name: str) -> str:
    """A lesson with that widget."""
    pages = [path for path in sorted(site.glob("lessons/*.html")) if f'data-widget="{name}"' in path.read_text("utf-8")]
    return pages[0].relative_to(site).as_posix()


def awake(page: Any, name: str) -> Shown:
    """The widget in sight, once it lives."""
    holder = page.locator(f'.live-widget[data-widget="{name}"]').first
    holder.scroll_into_view_if_needed()
    expect(holder).to_have_attribute("data-life", "live")
    stage = Shown(page, holder.locator(".stage"))
    stage.settle()
    assert holder.evaluate(UNDER_ITS_MARKS), "the picture fills the frame that the marks are placed in"
    return stage


def values(stage: Shown, real: Stage) -> dict[str, Any]:
    """What the page's controls stand at, as Python would get it."""
    found = {}
    for control in real.controls:
        name = control["name"]
        if stage.control(name).is_disabled():
            found[name] = real.values[name]
            assert stage.control(name).input_value() == "" or stage.box(name).input_value() == "", "it shows no value"
        elif control["kind"] == "choice":
            found[name] = stage.control(name).input_value()
        else:
            number = float(stage.box(name).input_value())
            found[name] = int(number) if number.is_integer() and isinstance(real.values[name], int) else number
    return found


def assert_as_python(stage: Shown, real: Stage) -> None:
    """The page's words are those of Python for the same values."""
    asked = values(stage, real)
    real.values = asked
    assert (stage.said, real.said) == ("", "")
    assert stage.words == real.scene["words"][real.scene["stops"].index(asked[real.axis])], asked


def moved(stage: Shown, name: str, phone: bool) -> None:
    """Move a control: a list by keyboard, a slider by keyboard and then by the pointer."""
    control = stage.control(name)
    if control.evaluate("e => e.tagName") == "SELECT":
        at, of = control.evaluate("e => [e.selectedIndex, e.options.length]")
        stage.pressed(name, "ArrowDown" if at < of - 1 else "ArrowUp")
        return
    at, of = control.evaluate("e => [Number(e.value), Number(e.max)]")
    stage.pressed(name, "ArrowRight" if at < of else "ArrowLeft")
    box, share = control.bounding_box(), 0.1 if at > of / 2 else 0.9
    if phone:
        stage.page.touchscreen.tap(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        stage.settle()
    else:
        stage.dragged(name, share)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", STAGES)
def test_every_control_answers_as_python_would(site, visit, name, size):
    real = in_python(name)
    stage = awake(visit(page_with(site, name), SIZES[size]).page, name)
    assert_as_python(stage, real)
    for name in sorted((control["name"] for control in real.controls), key=lambda one: one != real.axis):
        if stage.control(name).is_disabled():
            continue
        before = stage.words, stage.picture()
        moved(stage, name, size == "phone")
        if not stage.said:  # a setting that Python refuses, too
            assert_as_python(stage, real)
            assert stage.words != before[0]
            same = stage.picture().shape == before[1].shape and (stage.picture() == before[1]).all()
            assert not same, "the picture moves with the words"


@pytest.mark.parametrize("size", SIZES)
def test_every_widget_of_the_site_wakes_when_it_is_near(site, visit, size):
    pages = [
        p.relative_to(site).as_posix()
        for p in sorted(site.rglob("*.html"))
        if 'class="live-widget"' in p.read_text("utf-8")
    ]
    assert len(pages) > 7
    visitor = visit("index.html", SIZES[size])
    for name in pages:
        holders = visitor.go(name).locator(".live-widget")
        for number in range(holders.count()):
            holders.nth(number).scroll_into_view_if_needed()
            expect(holders.nth(number)).to_have_attribute("data-life", "live")
            controls = holders.nth(number).locator("input, select, button")
            boxes = [box for box in (one.bounding_box() for one in controls.all()) if box]
            assert boxes and all(box["width"] > 0 for box in boxes)
            stage = holders.nth(number).locator(".stage")
            if size == "phone" and stage.count():
                stage.scroll_into_view_if_needed()
                assert stage.evaluate("e => e.scrollWidth <= e.clientWidth + 1"), "it hides nothing to the right"
                assert stage.locator("svg").get_attribute("viewBox").startswith("0 0 420 "), (
                    f"{name}: drawn for a phone"
                )
