"""The widgets in a page from a disk, with the network off and no Python behind it: by keyboard, pointer and typing."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from stills import BOXES, block_still, boxes, boxes_words, start_map_still

from lora_lessons import lessons
from lora_lessons.course.backdrop import DPI, pixels
from lora_lessons.course.on_the_web import LIVE, Live
from lora_lessons.lessons.l01 import rank_explorer
from lora_lessons.lessons.l02.widget import start_map_scene
from workshop.site import widgets

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
THEME = Path(widgets.__file__).with_name("theme")
W = torch.randn(40, 30, generator=torch.Generator().manual_seed(0))
SETTLED = "holder => holder.querySelector('.stage')?.dataset.settled === 'true'"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    """A page with four widgets one below the other, each with few settings, far enough apart to be asleep at first."""
    lessons.rooms()
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(LIVE, "start_map", LIVE["start_map"]._replace(values={"b": [-1.0, 0.0, 1.0]}))
        patch.setitem(LIVE, "boxes", Live("boxes", "", boxes, {}, ("model",), 3))
        patch.setitem(LIVE, "small", Live("small", "", lambda: rank_explorer({"noise": W}, r=3), {}, (), 2, ends=True))
        names = ["block", "small", "start_map", "boxes"]
        widgets.bake(folder / "_static/widgets", names, lambda _: None)
        stills = "<div style='height: 2000px'></div>".join(map(widgets.mount, names))
    for end in ("js", "css"):
        shutil.copy(THEME / f"widgets.{end}", folder / "_static")
    head = "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
    ours = "<link rel='stylesheet' href='_static/widgets.css'><script src='_static/widgets.js'></script>"
    (folder / "page.html").write_text(
        f"<!doctype html><html lang='en'><head>{head}{ours}</head><body>{stills}</body></html>", "utf-8"
    )
    return folder / "page.html"


@contextmanager
def opened(browser: Any, file: Path, size: str = "desktop", before: str = "", **options: Any) -> Iterator[Any]:
    """The page with the network off; it must ask for nothing but files, and complain of nothing."""
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **options)
    page = context.new_page()
    page.set_default_timeout(180_000)
    page.asked, page.complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    if before:
        page.add_init_script(before)
    try:
        page.goto(file.as_uri())
        yield page
        assert all(url.startswith(("file:", "data:", "blob:")) for url in page.asked)
        assert not page.complaints
    finally:
        context.close()


def alive(page: Any, name: str) -> Any:
    """The widget, scrolled to and awake."""
    holder = page.wait_for_selector(f".live-widget[data-widget={name}]")
    holder.scroll_into_view_if_needed()
    page.wait_for_function("holder => holder.dataset.life === 'live'", arg=holder)
    return settled(page, holder)


def settled(page: Any, holder: Any) -> Any:
    page.wait_for_function(SETTLED, arg=holder)
    return holder


def words(holder: Any) -> str:
    return holder.query_selector(".words").inner_text()


def said(holder: Any) -> str:
    return holder.query_selector(".said").inner_text()


def typed(holder: Any, name: str, text: str) -> None:
    box = holder.query_selector(f"[data-typed={name}]")
    box.fill(text)
    box.press("Enter")


@pytest.mark.parametrize("size", SIZES)
def test_a_still_comes_to_life_when_it_comes_near_and_moves_by_keyboard(browser, page_file, size):
    with opened(browser, page_file, size) as page:
        block = alive(page, "block")
        far = page.query_selector("[data-widget=start_map]")
        assert (
            far.query_selector("img")
            and not far.query_selector(".stage")
            and not any("start_map" in url for url in page.asked)
        )
        assert "A still of a widget" not in far.inner_text() and not page.query_selector(".wake"), "no button vanishes"
        assert words(block) == block_still(1)[1]
        block.query_selector("[data-name=matrix]").focus()
        for n in (2, 3):
            page.keyboard.press("ArrowRight")
            assert words(settled(page, block)) == block_still(n)[1]
        assert block.query_selector("svg").get_attribute("aria-label") == words(block)
        assert "worked this out beforehand" in block.inner_text() and not block.query_selector(".still, .wake")
        assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]


@pytest.mark.parametrize("size", SIZES)
def test_the_pointer_moves_two_controls_at_once(browser, page_file, size):
    with opened(browser, page_file, size) as page:
        ground = alive(page, "start_map")
        area = ground.query_selector(".grab").bounding_box()
        page.mouse.move(area["x"] + area["width"] / 2, area["y"] + area["height"] / 2)
        page.mouse.down()
        assert words(settled(page, ground)) == start_map_still(0.0, 0.0)[1]  # on a phone, of the phone's picture
        page.mouse.move(area["x"] + area["width"] - 3, area["y"] + 3, steps=4)
        page.mouse.up()
        assert words(settled(page, ground)) == start_map_still(2.0, 1.0)[1]  # the highest b that this page has


def test_a_value_that_is_not_there_is_answered_and_the_next_move_goes_on(browser, page_file):
    with opened(browser, page_file) as page:
        ground = alive(page, "start_map")
        before = words(ground)
        for name, value, there in (("a", "0.55", "-2, -1.9, "), ("b", "0.4", "-1, 0, 1. In JupyterLab")):
            typed(ground, name, value)
            assert f"“start: {name}” at these values alone: {there}" in said(ground) and words(ground) == before
            assert ground.query_selector(f"[data-typed={name}]").input_value() == {"a": "0.5", "b": "0"}[name], (
                "put back"
            )
            assert not ground.query_selector(".kept").inner_text()
        ground.query_selector("[data-name=a]").press("ArrowRight")  # and every control goes on working
        assert said(settled(page, ground)) == "" and words(ground) == start_map_still(0.6, 0.0)[1]
        typed(ground, "a", "0.55")
        typed(ground, "b", "1")
        assert said(settled(page, ground)) == "" and words(ground) == start_map_still(0.6, 1.0)[1]


def test_what_the_slider_cannot_be_is_refused_in_pythons_words(browser, page_file):
    with opened(browser, page_file) as page:
        small = alive(page, "small")
        for value in (31, 1000, 0):
            typed(small, "r", str(value))
            assert said(small) == f"rank r must be between 1 and 30 (the smaller side of the matrix); got {value}."
            assert small.query_selector("[data-typed=r]").input_value() == "3"
        typed(small, "r", "2.5")
        assert "at these values alone" in said(small)


def test_a_further_file_is_fetched_when_its_setting_is_asked_for(browser, page_file):
    with opened(browser, page_file) as page:
        many = alive(page, "boxes")
        assert not any("boxes.1.js" in url for url in page.asked)
        many.query_selector("select[data-name=model]").select_option("large")
        assert words(settled(page, many)) == boxes_words(**BOXES | {"model": "large"})
        assert sum("boxes.1.js" in url for url in page.asked) == 1
        many.query_selector("select[data-name=card]").select_option("small")
        assert "2 GB are missing for large on small" in said(settled(page, many))
        kept, picture = many.query_selector(".kept"), many.query_selector(".picture")
        assert "still those of the last choice that works" in kept.inner_text()
        assert many.query_selector("select[data-name=card]").input_value() == "small"
        assert picture.evaluate("e => Number(getComputedStyle(e).opacity)") < 1
        many.query_selector("select[data-name=model]").select_option("tiny")
        assert words(settled(page, many)) == boxes_words(**BOXES | {"card": "small"})
        assert said(many) == "" and kept.inner_text() == ""
        assert picture.evaluate("e => Number(getComputedStyle(e).opacity)") == 1


HIDDEN = """holder => [...holder.querySelectorAll("*")].filter((e) => e.scrollWidth > e.clientWidth + 1 && e.clientWidth
    && !["INPUT", "SELECT"].includes(e.tagName) && !e.closest("svg")).map((e) => e.outerHTML.slice(0, 99))"""


def test_on_a_phone_nothing_of_a_widget_is_hidden_and_its_marks_stand_where_python_puts_them(browser, page_file):
    with opened(browser, page_file, "phone") as page:
        ground = alive(page, "start_map")
        assert ground.evaluate(HIDDEN) == [] and alive(page, "small").evaluate(HIDDEN) == []
        dots = ground.query_selector("svg").query_selector_all("circle")
        found = [[float(dot.get_attribute(side)) for side in ("cx", "cy")] for dot in dots]
        (path,) = ground.query_selector_all("svg path")[1:]
        scene = start_map_scene(0.5, 0.0)
        figure, i = scene.backdrop.narrow(), scene.stops.index(0.5)
        figure.set_dpi(DPI)
        figure.draw_without_rendering()
        inside = dict(zip(scene.backdrop.figure.axes, figure.axes, strict=True))
        marks = [(mark.kind, inside[mark.ax], mark.at(i)) for mark in scene.marks]
        height = figure.bbox.height
        real = [pixels(ax, at["x"], at["y"], height) for kind, ax, at in marks if kind == "dot"]
        assert found == [pytest.approx([float(x[0]), float(y[0])], abs=0.3) for x, y in real]
        x, y = pixels(figure.axes[1], marks[-1][2]["x"], marks[-1][2]["y"], height)
        ends = [tuple(map(float, pair.split(","))) for pair in path.get_attribute("d")[1:].split("L")]
        assert ends[0] == pytest.approx((x[0], y[0]), abs=0.3) and ends[-1] == pytest.approx((x[-1], y[-1]), abs=0.3)
        page.set_viewport_size({"width": 900, "height": 844})  # turned round, it is the screen's picture
        page.wait_for_function("h => h.querySelector('svg').getAttribute('viewBox') === '0 0 880 430'", arg=ground)
        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_function("h => h.querySelector('svg').getAttribute('viewBox').startsWith('0 0 420 ')", arg=ground)


def test_words_that_would_leave_the_picture_are_moved_into_it(browser, page_file):
    with opened(browser, page_file, "phone") as page:
        many = alive(page, "boxes")
        many.query_selector("[data-name=r]").press("End")
        settled(page, many)
        box, picture = many.query_selector("svg text").bounding_box(), many.query_selector("svg").bounding_box()
        assert picture["x"] <= box["x"] and box["x"] + box["width"] <= picture["x"] + picture["width"] + 0.5


def test_a_product_is_multiplied_out_from_what_was_baked(browser, page_file):
    """The canvas has the colours of B·A, give or take two of 256."""
    with opened(browser, page_file) as page:
        small = alive(page, "small")
        typed(small, "r", "7")
        settled(page, small)
        read = "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
        shown = np.array(small.query_selector("canvas").evaluate(read)).reshape(40, 30, 4)
    U, S, V = torch.linalg.svd(W, full_matrices=False)
    top = 3 * float(W.std())
    numbers = ((U[:, :7] * S[:7]) @ V[:7] + top) * 256 / (2 * top)
    near = [
        colormaps["RdBu_r"](np.clip(numbers.numpy() + off, 0, 255).astype(int), bytes=True) for off in (-2, -1, 0, 1, 2)
    ]
    assert np.any([np.all(shown == one, axis=2) for one in near], axis=0).all()


def test_a_button_wakes_a_widget_where_the_page_cannot_see_it_come(browser, page_file):
    with opened(browser, page_file, before="delete window.IntersectionObserver") as page:
        button = page.wait_for_selector("[data-widget=block] .wake")
        assert button.inner_text() == "Make it live" and not any("block.js" in url for url in page.asked)
        button.focus()
        page.keyboard.press("Enter")
        alive(page, "block")


def test_without_scripts_the_still_stands(browser, page_file):
    with opened(browser, page_file, java_script_enabled=False) as page:
        still = page.query_selector("[data-widget=block] .still")
        assert still.is_visible() and "1 of 7: q_proj" in still.inner_text()
        assert not page.query_selector(".wake")


def test_what_cannot_be_fetched_is_said_and_asked_for_again(browser, page_file, tmp_path):
    folder = shutil.copytree(page_file.parent, tmp_path / "site")
    kept = {name: (folder / "_static/widgets" / name) for name in ("block.js", "boxes.1.js")}
    for path in kept.values():
        path.rename(path.with_suffix(".away"))
    with opened(browser, folder / "page.html") as page:
        page.wait_for_function(
            "() => document.querySelector('[data-widget=block] .wake')?.textContent.includes('Try again')"
        )
        assert page.query_selector("[data-widget=block] .still").is_visible()
        many = alive(page, "boxes")
        choose = many.query_selector("select[data-name=model]")
        choose.select_option("large")
        page.wait_for_function(
            "h => h.querySelector('.said').textContent.startsWith('This setting could not be fetched')", arg=many
        )
        for path in kept.values():
            path.with_suffix(".away").rename(path)
        choose.select_option("tiny")
        choose.select_option("large")
        assert words(settled(page, many)).startswith("2 of large")
        page.click("[data-widget=block] .wake")
        alive(page, "block")
