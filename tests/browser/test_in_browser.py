"""The widgets in a real JupyterLab: every control moved as a learner moves it, and the picture and words after it.

What is right is worked out here, from lora_lessons; the page's own numbers are only what is looked at.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import nbformat
import numpy as np
import pytest
import torch
from playwright.sync_api import expect
from stills import fit_words, rank_explorer_still

from lora_lessons.course.stage import Scene
from lora_lessons.drawing import use_style
from lora_lessons.lessons import l01 as explorer
from lora_lessons.lessons import l08 as fitting
from lora_lessons.lessons.l02 import widget as anatomy
from lora_lessons.run import stored

from .conftest import UNDER_ITS_MARKS, Lesson

NOISE = "torch.randn(96, 64, generator=torch.Generator().manual_seed(0))"
SETUP = f"""import torch
from lora_lessons.course import begin
from lora_lessons.lessons import l01 as explorer
from lora_lessons.lessons import l08 as fitting
from lora_lessons.lessons.l02 import widget as anatomy
begin("widgets")

def counted(widget, name):  # a line in composed.txt for every scene that Python composes
    compose = getattr(widget, name)
    def count(*args, **kwargs):
        with open("composed.txt", "a") as file:
            print(name, file=file)
        return compose(*args, **kwargs)
    setattr(widget, name, count)

for widget, name in ((explorer, "rank_explorer_scene"), (anatomy, "layer_anatomy_scene"), (fitting, "fit_scene"),
                     (anatomy, "start_map_scene")):
    counted(widget, name)
noise = {NOISE}
matrices = {{"photograph": explorer.photograph(), "noise": noise, "layer 0": {{"q": noise.T, "up": noise[:20]}}}}"""
EXPLORER, ANATOMY, FIT, COPY, VIEW, START = range(6)  # the stages of that notebook, by number
CELLS = (
    "stage = explorer.rank_explorer(matrices)\nstage",
    "anatomy.layer_anatomy()",
    "fitting.fit()",
    "explorer_copy = explorer.rank_explorer(matrices)\nexplorer_copy",
    "stage",
    "anatomy.start_map()",
)


@pytest.fixture(scope="module", autouse=True)
def _style():
    """The lessons' style: places on the page depend on it."""
    with mpl.rc_context():
        use_style()
        yield


@pytest.fixture(scope="module")
def page(browser: Any, lab: Any) -> Any:
    """One notebook with every widget, run once. Tests share it, so each sets the controls that it relies on."""
    lab.write("widgets", SETUP, *CELLS)
    with Lesson(browser, lab, "widgets") as lesson:
        lesson.run_all()
        yield lesson


@pytest.fixture
def composed(lab):
    """A function that says how many scenes of a kind Python has composed so far."""
    return lambda name: (lab.notebooks / "composed.txt").read_text().split().count(name)


def explored(name: str, kind: str, r: int) -> Scene:
    """What the rank explorer shows of one of its matrices."""
    noise = torch.randn(96, 64, generator=torch.Generator().manual_seed(0))
    layer = {"q": noise.T, "up": noise[:20]}[kind]
    W = {"photograph": explorer.photograph(), "noise": noise, "layer 0": layer}[name]
    of_a_kind = name == "layer 0"
    return explorer.rank_explorer_scene(
        W, r, f"{name}, {kind}" * of_a_kind or name, locked=() if of_a_kind else ("kind",)
    )


# Of each widget: its scene, its axis, and a setting.
WIDGETS: dict[int, tuple[Any, str, dict[str, Any]]] = {
    EXPLORER: (explored, "r", {"name": "photograph", "kind": "q", "r": 20}),
    START: (anatomy.start_map_scene, "a", {"a": 0.5, "b": 0.0}),
    ANATOMY: (anatomy.layer_anatomy_scene, "r", {"d": 1536, "k": 576, "r": 8, "lora_alpha": 16}),
    FIT: (fitting.fit_scene, "seq", dict(fitting.FIT)),
}
# What is done to it (a verb of the stage, a control, what that is given), and what then stands otherwise.
MOVES: dict[int, list[tuple[str, str, Any, dict[str, Any]]]] = {
    EXPLORER: [
        ("pressed", "r", ["ArrowRight"] * 3, {"r": 25}),
        ("pressed", "r", ["ArrowLeft"], {"r": 23}),
        ("pressed", "r", ["Home"], {"r": 1}),
        ("pressed", "r", ["End"], {"r": 300}),
        ("typed", "r", ["40"], {"r": 40}),
        ("chosen", "name", ["noise"], {"name": "noise"}),
        ("pressed", "r", ["End"], {"r": 64}),
        ("typed", "r", ["30"], {"r": 30}),
        ("chosen", "name", ["layer 0"], {"name": "layer 0"}),
        ("chosen", "kind", ["up"], {"kind": "up", "r": 20}),
        ("chosen", "kind", ["q"], {"kind": "q"}),
    ],
    START: [
        ("pressed", "a", ["ArrowLeft", "ArrowLeft"], {"a": 0.3}),
        ("pressed", "b", ["ArrowRight"], {"b": 0.1}),
        ("pressed", "a", ["End"], {"a": 2.0}),
        ("pressed", "b", ["Home"], {"b": -2.0}),
        ("typed", "a", ["0.25"], {"a": 0.25}),  # between two stops
        ("typed", "b", ["0"], {"b": 0.0}),
        ("typed", "a", ["0"], {"a": 0.0}),
    ],
    ANATOMY: [
        ("pressed", "r", ["ArrowRight"] * 5, {"r": 13}),
        ("pressed", "r", ["End"], {"r": 512}),
        ("pressed", "r", ["Home"], {"r": 1}),
        ("typed", "d", ["400"], {"d": 400}),
        ("typed", "k", ["100"], {"k": 100}),
        ("typed", "lora_alpha", ["2.5"], {"lora_alpha": 2.5}),
        ("typed", "d", ["600"], {"d": 600}),
        ("typed", "k", ["600"], {"k": 600}),
        ("typed", "r", ["576"], {"r": 576}),  # beyond the slider's own stops: the slider gets one more
    ],
    FIT: [
        ("chosen", "model", ["Llama-2-7B"], {"model": "Llama-2-7B"}),
        ("chosen", "recipe", ["Trainer"], {"recipe": "Trainer"}),
        ("chosen", "method", ["qlora"], {"method": "qlora"}),
        ("chosen", "card", ["H200"], {"card": "H200"}),
        ("chosen", "gradient_checkpointing", ["on"], {"gradient_checkpointing": "on"}),
        ("pressed", "batch_size", ["ArrowRight"], {"batch_size": 16}),
        ("pressed", "seq", ["Home"], {"seq": 32}),
        ("pressed", "seq", ["ArrowRight"] * 4, {"seq": 64}),
        ("pressed", "r", ["ArrowRight"], {"r": 128}),
        ("typed", "r", ["300"], {"r": 300}),
        ("typed", "seq", ["3,000"], {"seq": 3000}),  # as the words write it; no stop of its own: the slider gets one
    ],
}
# Of each kind of mark: its tag on the page, and which attribute has what Python worked out.
TAGS = {
    "dot": ("circle", {"cx": "x", "cy": "y"}),
    "bar": ("rect", {side: side for side in ("x", "y", "width", "height")}),
    "line": ("path", {"d": "d"}),
    "text": ("text", {"text": "text", "y": "y"}),
}


def assert_shown(stage: Any, number: int, at: float | None = None, **changed: Any) -> None:
    """Words, marks, matrix and closed controls are those of Python for this setting; or at another stop of it."""
    scene_of, axis, setting = WIDGETS[number]
    scene, at = scene_of(**setting | changed), (setting | changed)[axis] if at is None else at
    i, marks = scene.stops.index(at), scene.page()["marks"]
    assert stage.words == scene.words[i] == stage.root.locator("svg[role=img]").get_attribute("aria-label")
    assert stage.box(axis).input_value() == stage.control(axis).get_attribute("aria-valuetext") == f"{at:g}"
    assert stage.root.evaluate(UNDER_ITS_MARKS), "the picture fills the frame that the marks are placed in"
    closed = stage.root.locator("[data-name]:disabled").evaluate_all("all => all.map((e) => e.dataset.name)")
    assert stage.asleep or closed == list(scene.locked)
    for kind, (tag, sides) in TAGS.items():
        ours = [
            [mark[side][i if len(mark[side]) > 1 else 0] for side in sides.values()]
            for mark in marks
            if mark["kind"] == kind
        ]
        seen = [[mark[side] for side in sides] for mark in stage.marks(tag) if mark.get("class") != "grab"]
        for mine, shown in zip(ours, seen, strict=True):
            texts = [one.replace("\n", "") for one in mine if isinstance(one, str)]
            assert shown[: len(texts)] == texts, kind
            assert list(map(float, shown[len(texts) :])) == pytest.approx(mine[len(texts) :], abs=0.01), kind
    for mark in [mark for mark in marks if mark["kind"] == "product"]:
        B, A = (
            np.frombuffer(mark[side], np.float32).reshape(-1, mark[across])[: int(at)]
            for side, across in (("B", "rows"), ("A", "cols"))
        )
        shade = np.clip((B.T @ A - mark["low"]) * 256 / (mark["high"] - mark["low"]), 0, 255).astype(int)
        off = np.abs(stage.canvas() - np.frombuffer(mark["lut"], np.uint8).reshape(256, 3)[shade].astype(int))
        assert off.max() < 6 and (off < 1).mean() > 0.99  # the next of 256 colours, where rounding tips it


def set_to(page: Any, number: int, **changed: Any) -> Any:
    """The stage, with its controls as in WIDGETS but for what is `changed`."""
    stage = page.stage(number)
    for name, value in (WIDGETS[number][2] | changed).items():
        if stage.box(name).count():
            stage.typed(name, f"{value:g}")
        elif stage.control(name).is_enabled():
            stage.chosen(name, value)
    return stage


@pytest.mark.parametrize("number", WIDGETS, ids=["rank_explorer", "start_map", "layer_anatomy", "fit"])
def test_a_widget_moves_by_every_control(page, number, screenshots, request):
    stage, axis, now = set_to(page, number), WIDGETS[number][1], {}
    assert_shown(stage, number)
    stage.root.screenshot(path=screenshots / f"{request.node.callspec.id}.png")
    for verb, control, given, changed in MOVES[number]:
        getattr(stage, verb)(control, *given)
        now |= changed
        assert_shown(stage, number, **now)
    stage.dragged(axis, 0.5)
    dragged = float(stage.box(axis).input_value())
    stops = WIDGETS[number][0](**WIDGETS[number][2] | now).stops
    assert stops.index(dragged) == pytest.approx(len(stops) / 2, abs=0.02 * len(stops) + 2)
    assert_shown(stage, number, at=dragged, **now)


def test_a_rank_that_cannot_be_is_refused_and_the_picture_stays(page):
    stage = set_to(page, EXPLORER)
    assert stage.said == "" and stage.root.locator("[role=alert]").count() == 1
    for typed, sentence in {
        "10000": "rank r must be between 1 and 300 (the smaller side of the matrix); got 10000.",
        "1,00,000": "rank r is a whole number such as 8; got '1,00,000'.",
        "2.5": "rank r is a whole number such as 8; got 2.5.",
        "": "rank r is a whole number such as 8; got ''.",
    }.items():
        stage.typed("r", typed)
        assert stage.said == sentence
        assert_shown(stage, EXPLORER)
    stage.typed("r", "21")
    assert stage.said == ""
    assert_shown(stage, EXPLORER, r=21)


def test_the_start_is_dragged_in_the_picture(page, composed):
    stage, backdrop = set_to(page, START), anatomy.start_map_scene(0.5, 0.0).backdrop
    width, height = (backdrop.page[side] for side in ("width", "height"))
    box = stage.root.locator(".picture").bounding_box()

    def screen(a: float, b: float) -> tuple[float, float]:
        x, y = backdrop.figure.axes[0].transData.transform((a, b)) * box["width"] / width
        return box["x"] + x, box["y"] + height * box["width"] / width - y

    before = composed("start_map_scene")
    mouse = page.page.mouse
    mouse.move(*screen(0.5, 0.0))
    mouse.down()
    mouse.move(*screen(-0.4, 0.0), steps=6)  # along a: no kernel
    stage.settle()
    assert_shown(stage, START, a=-0.4, b=0.0)
    assert composed("start_map_scene") == before
    mouse.move(*screen(-1.02, 0.98), steps=6)
    stage.settle()
    assert_shown(stage, START, a=-1.0, b=1.0)
    assert "ends in the saddle" in stage.words
    mouse.move(*screen(5, 0.3), steps=6)  # beyond the edge: the last stop
    mouse.up()
    stage.settle()
    assert_shown(stage, START, a=2.0, b=0.3)
    mouse.move(*screen(0, 0))  # not pressed any more
    stage.settle()
    assert_shown(stage, START, a=2.0, b=0.3)
    mouse.click(*screen(1.0, -0.5))
    stage.settle()
    assert_shown(stage, START, a=1.0, b=-0.5)


# ---- for every widget ----


@pytest.mark.parametrize(
    ("number", "names"),
    [
        (EXPLORER, {"name": "matrix", "kind": "kind", "r": "rank r"}),
        (START, {"a": "start: a", "b": "start: b"}),
        (ANATOMY, {"d": "d (outputs)", "k": "k (inputs)", "r": "rank r", "lora_alpha": "α"}),
        (
            FIT,
            {
                "model": "model",
                "recipe": "recipe",
                "method": "method",
                "card": "card",
                "r": "rank r",
                "batch_size": "batch (sequences)",
                "gradient_checkpointing": "checkpointing",
                "seq": "length (tokens)",
            },
        ),
    ],
)
def test_the_keyboard_reaches_every_control_and_each_has_a_name(page, number, names):
    # a photograph has no kinds: that list is closed then
    stage = set_to(page, number, **{"name": "layer 0"} if number == EXPLORER else {})
    order, seen = stage.root.locator("input, select"), []
    order.first.focus()
    for _ in range(order.count()):
        seen.append(
            page.page.evaluate("() => document.activeElement.dataset.name ?? document.activeElement.dataset.typed")
        )
        page.page.keyboard.press("Tab")
    sliders = [name for name in names if stage.root.locator(f"[type=range][data-name={name}]").count()]
    assert seen == [name for name in names for _ in range(2 if name in sliders else 1)]
    for name, label in names.items():
        role = {"select": "combobox", "checkbox": "checkbox", "range": "slider", "text": "textbox"}[
            stage.root.locator(f"[data-name={name}], [data-typed={name}]").first.evaluate(
                "e => e.tagName === 'SELECT' ? 'select' : e.type"
            )
        ]
        assert stage.root.get_by_role(role, name=label, exact=True).count() == 1, label
        if role == "slider":
            assert stage.root.get_by_role("textbox", name=f"{label}, typed", exact=True).count() == 1
            assert stage.control(name).get_attribute("aria-valuetext") == stage.box(name).input_value()
    assert stage.root.locator(".words").get_attribute("aria-live") == "polite"
    assert stage.root.locator("svg[role=img]").get_attribute("aria-label") == stage.words


def held(page: Any, stage: Any, name: str, keys: list[str]) -> None:
    """Keys pressed on a control as fast as they go, with no wait between them."""
    stage.control(name).focus()
    for key in keys:
        page.page.keyboard.down(key)  # without an up: as a key that is held repeats
    for key in set(keys):
        page.page.keyboard.up(key)
    stage.settle()


def test_a_drag_along_the_axis_never_asks_python(page, composed):
    stage = set_to(page, EXPLORER)
    before = composed("rank_explorer_scene")
    held(page, stage, "r", ["ArrowRight"] * 25)
    stops = explorer.slider_ranks(300)
    assert_shown(stage, EXPLORER, r=stops[stops.index(20) + 25])
    assert composed("rank_explorer_scene") == before


def test_a_drag_that_python_answers_queues_no_stale_pictures(page, composed):
    stage = set_to(page, FIT, r=1)
    before = composed("fit_scene")
    held(page, stage, "r", (["ArrowRight"] * 7 + ["ArrowLeft"] * 5) * 5)
    assert_shown(stage, FIT, r=8)
    assert 0 < composed("fit_scene") - before < 60
    before = composed("fit_scene")
    burst = """slider => {
        for (let n = 0; n < 60; n++) { slider.value = n % 9; slider.dispatchEvent(new Event("input")); }
    }"""
    stage.control("r").evaluate(burst)  # 60 moves before the kernel can answer one
    stage.settle()
    assert_shown(stage, FIT, r=32)
    assert 0 < composed("fit_scene") - before <= 3


def test_two_copies_on_a_page_are_two_and_two_views_of_one_are_one(page):
    first, copy, view = set_to(page, EXPLORER), page.stage(COPY), page.stage(VIEW)
    copy.chosen("name", "photograph")
    copy.typed("r", "50")
    first.typed("r", "21")
    assert_shown(copy, EXPLORER, r=50)
    assert_shown(view, EXPLORER, r=21)
    view.typed("r", "33")
    view.settle()
    assert_shown(first, EXPLORER, r=33)
    assert_shown(copy, EXPLORER, r=50)
    copy.root.get_by_text("rank r", exact=True).click()  # a label is its own widget's
    assert copy.control("r").evaluate("e => e === document.activeElement")


@contextmanager
def dark(lesson: Any) -> Iterator[None]:
    """JupyterLab's dark theme, until the block ends."""
    change = (
        "t => { window.ended = ''; jupyterapp.commands.execute('apputils:change-theme', {theme: t}).then(() => "
        "window.ended = 'well'); }"
    )
    try:
        lesson.page.evaluate(change, "JupyterLab Dark")
        lesson.ended("dark theme", 60)
        lesson.page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
        yield
    finally:
        lesson.page.evaluate(change, "JupyterLab Light")
        lesson.ended("light theme", 60)


def test_the_dark_theme_leaves_everything_readable(page, screenshots):
    with dark(page):
        stage = page.stage(FIT)
        stage.root.screenshot(path=screenshots / "fit_dark_theme.png")
        for pair in stage.root.locator("label, .words, input[type=text], select").evaluate_all(
            "all => all.map(e => [getComputedStyle(e).color, getComputedStyle(e.closest('.stage')).backgroundColor])"
        ):
            text, ground = ([int(n) / 255 for n in re.findall(r"\d+", color)[:3]] for color in pair)
            light = [
                sum(
                    w * (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
                    for w, c in zip((0.2126, 0.7152, 0.0722), color, strict=True)
                )
                for color in (text, ground)
            ]
            assert (max(light) + 0.05) / (min(light) + 0.05) > 7  # WCAG 2.2's enhanced contrast


def test_widgets_survive_run_all_again_and_leave_no_error(page):
    page.run_all()
    assert page.page.locator(".stage").count() == len(CELLS)
    stage = page.stage(EXPLORER)
    stage.pressed("r", "ArrowRight")
    assert_shown(stage, EXPLORER, r=21)
    assert page.errors() == []


def assert_asleep(stage: Any, axis: str, other: str) -> None:
    """It says at once that it sleeps, how to wake it and what still moves; what would need Python cannot be moved."""
    expect(stage.root.locator(".asleep")).to_be_visible()
    assert stage.asleep == (
        f"Run this lesson's cells again to wake me up: Python has stopped. Until then, only “{axis}” moves the picture."
    )
    expect(stage.root.locator(f"[data-name={other}], [data-typed={other}]").first).to_be_disabled()
    expect(stage.control(stage.axis)).to_be_enabled()


def test_widgets_sleep_through_a_restart_and_wake_when_the_cells_run_again(lab, open_lesson, screenshots):
    lab.write("restart", SETUP, CELLS[EXPLORER], CELLS[ANATOMY])
    lesson = open_lesson("restart")
    lesson.run_all()
    lesson.stage(0).pressed("r", "ArrowRight")
    assert lesson.stage(0).asleep == ""
    lesson.restart()
    assert_asleep(lesson.stage(1), "rank r", "d")
    stage = lesson.stage(0)
    assert_asleep(stage, "rank r", "name")
    stage.root.screenshot(path=screenshots / "asleep.png")
    stage.control("r").focus()
    lesson.page.keyboard.press("ArrowRight")
    assert_shown(stage, EXPLORER, r=23)
    stage.typed_only("r", "22.5")
    expect(stage.root.locator(".said")).to_contain_text("run this lesson's cells again to wake the widget")
    lesson.restart("notebook:restart-run-all", seconds=3000)
    assert lesson.page.locator(".stage").count() == 2
    stage = lesson.stage(0)
    assert stage.asleep == "" and stage.control("name").is_enabled()
    assert_shown(stage, EXPLORER, r=20)
    stage.pressed("r", "ArrowRight")
    assert_shown(stage, EXPLORER, r=21)
    anatomy = lesson.stage(1)
    anatomy.typed("d", "400")
    assert_shown(anatomy, ANATOMY, d=400, r=8)
    assert lesson.errors() == []


def test_a_widget_whose_kernel_is_gone_says_so_and_the_next_day_what_was_dragged_is_there(
    lab, open_lesson, screenshots
):
    lab.write(
        "tomorrow", SETUP, CELLS[EXPLORER], CELLS[ANATOMY], "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)): pass"
    )
    lesson = open_lesson("tomorrow")
    lesson.run_all()
    lesson.stage(0).pressed("r", "ArrowRight", "ArrowRight")
    lesson.stage(1).typed("d", "400")
    assert lesson.saved()["metadata"]["widgets"], "the widgets' state is in the file"
    assert (lab.notebooks / "tomorrow.ipynb").stat().st_size < 6e6
    lesson.command("kernelmenu:shutdown")
    lesson.page.wait_for_function("() => !jupyterapp.shell.currentWidget.sessionContext.session?.kernel")
    stage = lesson.stage(1)
    stage.control("r").focus()
    lesson.page.keyboard.press("ArrowRight")
    assert_shown(stage, ANATOMY, d=400, r=9)
    lesson.page.wait_for_timeout(6000)
    assert stage.said == "", "along its axis it needs no kernel"
    stage.typed_only("d", "500")
    expect(stage.root.locator(".said")).to_have_text(
        "Python has not answered yet. If no cell is running, the kernel has stopped: run this lesson's cells again to "
        "wake the widget."
    )
    lesson.__exit__()
    lesson = open_lesson("tomorrow", kernel=False)
    stage = lesson.stage(0)
    assert_asleep(stage, "rank r", "name")
    assert_shown(stage, EXPLORER, r=23)
    stage.control("r").focus()
    lesson.page.keyboard.press("ArrowRight")
    assert_shown(stage, EXPLORER, r=25)
    assert_shown(lesson.stage(1), ANATOMY, d=400, r=8)
    assert lesson.page.locator(".jupyter-widgets.widget-hprogress, .widget-hprogress").count() == 1
    assert "model not found" not in lesson.page.content().lower()
    stage.root.screenshot(path=screenshots / "the_next_day.png")


def test_on_a_phone_every_control_fits_and_the_widget_is_a_named_group(page, screenshots):
    for number in (EXPLORER, ANATOMY, FIT):
        stage = page.stage(number)
        name = stage.root.get_attribute("aria-label")
        assert stage.root.get_attribute("role") == "group" and name.startswith("Interactive picture. Controls: ")
        stage.root.evaluate("e => { e.style.width = '300px'; }")
        try:
            edges = stage.root.evaluate(
                "e => [e.getBoundingClientRect().right, ...[...e.querySelectorAll('input, select, .picture')].map(c => "
                "c.getBoundingClientRect().right)]"
            )
            assert max(edges[1:]) <= edges[0] + 0.5
            widths = stage.root.locator("[type=range]").evaluate_all(
                "all => all.map(e => e.getBoundingClientRect().width)"
            )
            assert min(widths) >= 120, "a thumb is to be hit by a finger"
            stage.root.screenshot(path=screenshots / f"phone_{number}.png")
        finally:
            stage.root.evaluate("e => { e.style.width = ''; }")


def test_a_stored_notebook_shows_stills_without_a_kernel(lab, open_lesson, screenshots):
    lab.write("stored", SETUP, CELLS[EXPLORER], CELLS[FIT])
    lesson = open_lesson("stored")
    lesson.run_all()
    lesson.stage(0)
    clean = stored.normalise(nbformat.from_dict(lesson.saved()))
    lesson.__exit__()
    nbformat.write(clean, lab.notebooks / "stored.ipynb")
    lesson = open_lesson("stored")
    expected = [
        rank_explorer_still(explorer.photograph(), 20, "photograph")[1],
        fit_words(**fitting.FIT),
    ]
    stills = lesson.page.locator(".jp-RenderedImage img")
    stills.nth(1).wait_for()
    for n, words in enumerate(expected):
        still = stills.nth(n)
        assert lesson.page.locator(".jp-OutputArea-output", has_text=words).count() == 1
        assert still.evaluate("e => e.decode().then(() => e.naturalWidth)") == 840
        still.screenshot(path=screenshots / f"still_{n}.png")
    assert lesson.page.locator(".stage").count() == 0
    with dark(lesson):  # and no widget is here to bring the sheet that turns a picture
        assert "invert" in stills.nth(1).evaluate("e => getComputedStyle(e).filter")
