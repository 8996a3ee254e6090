"""The widgets in a real JupyterLab: every control moved as a learner moves it,
and the right words and picture after it.

What is right is worked out here, from lora_lessons; the page's own numbers are only what is looked at.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import io
import re
from itertools import chain
from pathlib import Path
from typing import Any

import matplotlib as mpl
import nbformat
import numpy as np
import pytest
import torch
from matplotlib import colormaps
from PIL import Image
from playwright.sync_api import expect
from stills import (
    block_still,
    fit_job,
    fit_still,
    fit_words,
    layer_anatomy_still,
    rank_explorer_still,
    start_map_still,
)

from lora_lessons import lowrank, memory, planning
from lora_lessons.course.lesson import lessons, side_trips
from lora_lessons.course.stage import DPI, Scene
from lora_lessons.drawing import use_style
from lora_lessons.lessons import l01 as explorer
from lora_lessons.lessons import l08 as fitting
from lora_lessons.lessons import rooms
from lora_lessons.lessons.l02 import widget as anatomy
from lora_lessons.run import stored
from lora_lessons.run.lab import place

from .conftest import Lesson

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
def photo():
    return explorer.photograph()


@pytest.fixture(scope="module")
def noise():
    return torch.randn(96, 64, generator=torch.Generator().manual_seed(0))


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


def on_page(scene: Scene, ax: Any, x: float, y: float) -> tuple[float, float]:
    """Data coordinates as pixels from the picture's upper left corner."""
    height = scene.backdrop.page["height"]  # draws it, so that the axes have their places
    px, py = ax.transData.transform((x, y))
    return px, height - py


def width_of(scene: Scene, ax: Any, length: float) -> float:
    """A length along x in pixels."""
    return on_page(scene, ax, ax.get_xlim()[0] + length, 0)[0] - on_page(scene, ax, ax.get_xlim()[0], 0)[0]


def assert_like(seen: np.ndarray, still: tuple[Any, str]) -> None:
    """The page's picture is matplotlib's own, fonts aside: far more like it than when moved a few pixels."""
    png = io.BytesIO()
    still[0].savefig(png, format="png", dpi=DPI)
    theirs = Image.open(png).convert("RGB")

    def unlike(x: int, y: int) -> float:
        moved = Image.fromarray(np.roll(seen, (y, x), axis=(0, 1)))
        small = [
            image.resize((theirs.width // 4, theirs.height // 4), Image.Resampling.BOX) for image in (moved, theirs)
        ]
        return float(np.abs(np.subtract(*(np.asarray(image, float) for image in small))).mean())

    aside = min(unlike(*by) for by in ((12, 0), (-12, 0), (0, 12), (0, -12)))
    assert unlike(0, 0) < 0.75 * aside and unlike(0, 0) < 6


def assert_moves(stage: Any, assert_shown: Any, now: dict[str, Any], *moves: tuple[str, str, Any, Any]) -> None:
    """Make each move: (verb of the stage, control, what it is given, what then stands otherwise); after each, look."""
    for verb, control, given, changed in moves:
        getattr(stage, verb)(control, *given)
        now |= changed
        assert_shown(stage, **now)


# ---- rank explorer ----


def assert_explorer(stage: Any, W: torch.Tensor, r: int, name: str) -> None:
    """Words, canvas, caption and dot are those of W cut to rank r."""
    kept = float(lowrank.energy(lowrank.svd(W).S)[r - 1])
    stored = lowrank.stored_numbers(*W.shape, r)
    assert stage.words.startswith(
        f"Rank {r} keeps {kept:.1%} of the energy; the relative error is {max(0, 1 - kept) ** 0.5:.3f}. "
    )
    assert (
        f"hold {stored:,} numbers" in stage.words and f"up to rank {lowrank.break_even_rank(*W.shape)}." in stage.words
    )
    assert stage.box("r").input_value() == str(r) and stage.control("r").get_attribute("aria-valuetext") == str(r)

    cut = lowrank.truncate(W, r).double().numpy()
    top = 3 * float(W.std())
    right = cut if name == "photograph" else (cut + top) / (2 * top)
    colors = colormaps["gray" if name == "photograph" else "RdBu_r"](np.clip(right, 0, 1))[..., :3] * 255
    off = np.abs(stage.canvas() - colors)
    assert off.max() < 6 and (off < 1).mean() > 0.99  # the next of 256 colours, where rounding tips it

    assert f"{name}, rank {r} of {min(W.shape)}" in [mark["text"] for mark in stage.marks("text")]
    scene = explorer.rank_explorer_scene(W, r, name)
    (dot,) = stage.marks("circle")
    place = on_page(scene, scene.backdrop.figure.axes[1], r, kept)
    assert (float(dot["cx"]), float(dot["cy"])) == pytest.approx(place, abs=0.1)


def test_the_rank_explorer_moves_by_every_control(page, photo, noise, screenshots):
    stage = page.stage(EXPLORER)
    stage.chosen("name", "photograph")
    stage.typed("r", "20")
    assert_explorer(stage, photo, 20, "photograph")
    stage.root.screenshot(path=screenshots / "rank_explorer.png")
    assert_like(stage.picture(), rank_explorer_still(photo, 20, "photograph"))
    now = {"W": photo, "r": 20, "name": "photograph"}
    assert_moves(
        stage,
        assert_explorer,
        now,
        ("pressed", "r", ["ArrowRight"] * 3, {"r": 25}),
        ("pressed", "r", ["ArrowLeft"], {"r": 23}),
        ("pressed", "r", ["Home"], {"r": 1}),
        ("pressed", "r", ["End"], {"r": 300}),
    )
    stage.dragged("r", 0.5)
    dragged, stops = int(stage.box("r").input_value()), explorer.slider_ranks(300)
    assert stops.index(dragged) == pytest.approx(len(stops) / 2, abs=2) and dragged < 60
    assert_explorer(stage, photo, dragged, "photograph")
    stage.typed("r", "40")
    now |= {"r": 40, "W": noise, "name": "noise"}
    assert_moves(
        stage,
        assert_explorer,
        now,
        ("chosen", "name", ["noise"], {}),
        ("pressed", "r", ["End"], {"r": 64}),
    )


def test_a_rank_that_cannot_be_is_refused_and_the_picture_stays(page, photo):
    stage = page.stage(EXPLORER)
    stage.chosen("name", "photograph")
    stage.typed("r", "20")
    assert stage.said == "" and stage.root.locator("[role=alert]").count() == 1
    for typed, sentence in {
        "0": "rank r must be between 1 and 300 (the smaller side of the matrix); got 0.",
        "10000": "rank r must be between 1 and 300 (the smaller side of the matrix); got 10000.",
        "eight": "rank r is a whole number such as 8; got 'eight'.",
        "2.5": "rank r is a whole number such as 8; got 2.5.",
        "": "rank r is a whole number such as 8; got ''.",
    }.items():
        before = stage.words, stage.canvas()
        stage.typed("r", typed)
        assert stage.said == sentence
        assert stage.words == before[0] and (stage.canvas() == before[1]).all()
    stage.typed("r", "21")
    assert stage.said == ""
    assert_explorer(stage, photo, 21, "photograph")


def test_a_layer_and_a_kind_choose_the_matrix(page, noise, screenshots):
    stage = page.stage(EXPLORER)
    stage.chosen("name", "noise")
    assert stage.control("kind").is_disabled()
    stage.typed("r", "30")
    stage.chosen("name", "layer 0")
    assert not stage.control("kind").is_disabled()
    assert_explorer(stage, noise.T, 30, "layer 0, q")
    stage.root.screenshot(path=screenshots / "rank_explorer_layer.png")
    stage.chosen("kind", "up")
    assert_explorer(stage, noise[:20], 20, "layer 0, up")
    stage.chosen("kind", "q")
    assert_explorer(stage, noise.T, 20, "layer 0, q")
    stage.chosen("name", "photograph")
    assert stage.control("kind").is_disabled()


# ---- two numbers ----


def assert_start(stage: Any, a: float, b: float) -> None:
    """Words, dots and path are those of gradient descent from (a, b)."""
    way = anatomy.descend(a, b)
    assert stage.words == anatomy.story(way)
    assert [float(stage.box(name).input_value()) for name in ("a", "b")] == [a, b]
    scene = anatomy.start_map_scene(a, b)
    ground, curve = scene.backdrop.figure.axes
    end, start = ((float(dot["cx"]), float(dot["cy"])) for dot in stage.marks("circle"))
    assert start == pytest.approx(on_page(scene, ground, a, b), abs=0.1)
    assert end == pytest.approx(on_page(scene, ground, way.a[-1], way.b[-1]), abs=0.1)
    lines = [
        [tuple(map(float, point.split(","))) for point in line["d"].removeprefix("M").split("L")]
        for line in stage.marks("path")
    ]
    assert np.allclose(lines[0], [on_page(scene, ground, x, y) for x, y in zip(way.a, way.b, strict=True)], atol=0.1)
    losses = np.clip(way.loss, anatomy.FLOOR, None)
    assert np.allclose(lines[1], [on_page(scene, curve, step, one) for step, one in enumerate(losses)], atol=0.1)


def test_the_start_moves_by_both_sliders_and_by_typing(page, screenshots):
    stage = page.stage(START)
    assert_start(stage, 0.5, 0.0)
    stage.root.screenshot(path=screenshots / "start_map.png")
    assert_like(stage.picture(), start_map_still(0.5, 0.0))
    assert_moves(
        stage,
        assert_start,
        {"a": 0.5, "b": 0.0},
        ("pressed", "a", ["ArrowLeft", "ArrowLeft"], {"a": 0.3}),
        ("pressed", "b", ["ArrowRight"], {"b": 0.1}),
        ("pressed", "a", ["End"], {"a": 2.0}),
        ("pressed", "b", ["Home"], {"b": -2.0}),
        ("typed", "a", ["0.25"], {"a": 0.25}),  # between two stops
        ("typed", "b", ["0"], {"b": 0.0}),
        ("typed", "a", ["0"], {"a": 0.0}),
    )


def test_the_start_is_dragged_in_the_picture(page, composed):
    stage = page.stage(START)
    stage.typed("b", "0")
    stage.typed("a", "0.5")
    scene = anatomy.start_map_scene(0.5, 0.0)
    ground, width = scene.backdrop.figure.axes[0], scene.backdrop.page["width"]
    box = stage.root.locator(".picture").bounding_box()
    unit = box["width"] / width

    def screen(a: float, b: float) -> tuple[float, float]:
        x, y = on_page(scene, ground, a, b)
        return box["x"] + x * unit, box["y"] + y * unit

    before = composed("start_map_scene")
    mouse = page.page.mouse
    mouse.move(*screen(0.5, 0.0))
    mouse.down()
    mouse.move(*screen(-0.4, 0.0), steps=6)  # along a: no kernel
    stage.settle()
    assert_start(stage, -0.4, 0.0)
    assert composed("start_map_scene") == before
    mouse.move(*screen(-1.02, 0.98), steps=6)
    stage.settle()
    assert_start(stage, -1.0, 1.0)
    assert "ends in the saddle" in stage.words
    mouse.move(*screen(5, 0.3), steps=6)  # beyond the edge: the last stop
    mouse.up()
    stage.settle()
    assert_start(stage, 2.0, 0.3)
    mouse.move(*screen(0, 0))  # not pressed any more
    stage.settle()
    assert_start(stage, 2.0, 0.3)
    mouse.click(*screen(1.0, -0.5))
    stage.settle()
    assert_start(stage, 1.0, -0.5)


# ---- layer anatomy ----


def assert_anatomy(stage: Any, d: int, k: int, r: int, lora_alpha: float) -> None:
    """Words and the two bars are those of this layer."""
    assert f"A and B together hold {r * (d + k):,}, {r * (d + k) / (d * k):.2%} of that." in stage.words
    assert stage.words == anatomy.layer_anatomy_words(d, k, r, lora_alpha)
    B, A = ([float(bar[side]) for side in ("width", "height")] for bar in stage.marks("rect"))
    unit = B[1] / d  # pixels a row
    assert [*B, *A] == pytest.approx([r * unit, d * unit, k * unit, r * unit], abs=0.05)
    texts = [mark["text"] for mark in stage.marks("text")]
    assert texts == [f"+ {lora_alpha / r:.3g} ×", f"B{d:,}×{r:,}", f"A{r:,}×{k:,}"]


def test_layer_anatomy_moves_by_every_control(page, screenshots):
    stage = page.stage(ANATOMY)
    assert_anatomy(stage, 1536, 576, 8, 16)
    stage.root.screenshot(path=screenshots / "layer_anatomy.png")
    assert_like(stage.picture(), layer_anatomy_still(1536, 576, 8, 16))
    now = {"d": 1536, "k": 576, "r": 8, "lora_alpha": 16}
    assert_moves(
        stage,
        assert_anatomy,
        now,
        ("pressed", "r", ["ArrowRight"] * 5, {"r": 13}),
        ("pressed", "r", ["End"], {"r": 512}),
        ("typed", "r", ["576"], {"r": 576}),  # beyond the slider's own stops: the slider gets one more
    )
    stage.dragged("r", 0.25)
    dragged = int(stage.box("r").input_value())
    assert dragged == pytest.approx(128, abs=6)
    assert_anatomy(stage, 1536, 576, dragged, 16)
    assert_moves(
        stage,
        assert_anatomy,
        now,
        ("pressed", "r", ["Home"], {"r": 1}),
        ("typed", "d", ["400"], {"d": 400}),
        ("typed", "k", ["100"], {"k": 100}),
        ("typed", "lora_alpha", ["2.5"], {"lora_alpha": 2.5}),
    )


# ---- what fits ----


def assert_fit(stage: Any, **setting: Any) -> None:
    """Words and the bars' widths are those of this bill."""
    bill, room = memory.predict(setting["model"], fit_job(**setting)).bill, planning.card_bytes(setting["card"])
    assert stage.words == fit_words(**setting) and f": {bill.total / 1e9:.1f} GB at the peak" in stage.words
    scene = fitting.fit_scene(**setting)
    (ax,) = scene.backdrop.figure.axes
    edge, left, expected = ax.get_xlim()[1], 0.0, []
    for size in bill.parts.values():
        end = left + size / 1e9
        expected += [(min(left, edge), min(end, edge))] * 2  # in its own row, and in the sum's
        left = end
    bars = stage.marks("rect")
    assert all(float(bar["height"]) > 10 for bar in bars)
    assert [float(bar["width"]) for bar in bars] == pytest.approx(
        [width_of(scene, ax, b - a) for a, b in expected], abs=0.1
    )
    assert [float(bar["x"]) for bar in bars] == pytest.approx(
        [on_page(scene, ax, a, 0)[0] for a, _ in expected], abs=0.1
    )
    texts = [mark["text"] for mark in stage.marks("text")]
    total = f"{bill.total / 1e9:.1f} GB"
    assert texts[-2:] == [
        total if left <= edge else f"{total} →",
        fitting._fits(room / 1e9, bill.total / 1e9),
    ]


def test_what_fits_moves_by_every_control(page, screenshots):
    stage = page.stage(FIT)
    now = dict(fitting.FIT)
    assert_fit(stage, **now)
    stage.root.screenshot(path=screenshots / "fit.png")
    assert_like(stage.picture(), fit_still(**now))
    for name in ("model", "recipe", "method", "card", "gradient_checkpointing"):
        for option in stage.control(name).locator("option").all_text_contents():
            stage.chosen(name, option)
            now[name] = option
            assert_fit(stage, **now)
    stage.root.screenshot(path=screenshots / "fit_does_not.png")
    here = fitting.LENGTHS.index(now["seq"])
    assert_moves(
        stage,
        assert_fit,
        now,
        ("chosen", "method", ["lora"], {"method": "lora"}),
        ("pressed", "seq", ["ArrowLeft"], {"seq": fitting.LENGTHS[here - 1]}),
        ("pressed", "seq", ["End"], {"seq": 131072}),
        ("pressed", "seq", ["Home"], {"seq": 32}),
        ("pressed", "seq", ["ArrowRight"] * 4, {"seq": 64}),
    )
    stage.dragged("seq", 0.5)
    dragged = int(stage.box("seq").input_value())
    assert fitting.LENGTHS.index(dragged) == pytest.approx(len(fitting.LENGTHS) / 2, abs=2)
    now["seq"] = dragged
    assert_moves(
        stage,
        assert_fit,
        now,
        ("pressed", "r", ["ArrowRight"], {"r": 128}),
        ("typed", "r", ["300"], {"r": 300}),
        ("pressed", "batch_size", ["ArrowRight"], {"batch_size": 16}),
        ("typed", "seq", ["3,000"], {"seq": 3000}),  # as the words write it; no stop of its own: the slider gets one
    )
    for typed in ("3,0", "1,00,000"):
        stage.typed("seq", typed)
        assert stage.said == f"sequence length is a whole number such as 8; got '{typed}'."
    stage.typed("seq", "4096")
    assert stage.said == ""


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
    stage = page.stage(number)
    if number == EXPLORER:
        stage.chosen("name", "layer 0")  # a photograph has no kinds: that list is closed then
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


def test_a_drag_along_the_axis_never_asks_python(page, photo, composed):
    stage = page.stage(EXPLORER)
    stage.chosen("name", "photograph")
    stage.typed("r", "20")
    before = composed("rank_explorer_scene")
    held(page, stage, "r", ["ArrowRight"] * 25)
    stops = explorer.slider_ranks(300)
    assert_explorer(stage, photo, stops[stops.index(20) + 25], "photograph")
    assert composed("rank_explorer_scene") == before


def test_a_drag_that_python_answers_queues_no_stale_pictures(page, composed):
    stage, now = page.stage(FIT), dict(fitting.FIT)
    for name in ("model", "recipe", "method", "card", "gradient_checkpointing"):
        stage.chosen(name, now[name])
    for name in ("batch_size", "seq"):
        stage.typed(name, str(now[name]))
    stage.typed("r", "1")
    before = composed("fit_scene")
    held(page, stage, "r", (["ArrowRight"] * 7 + ["ArrowLeft"] * 5) * 5)
    assert_fit(stage, **now | {"r": 8})
    assert 0 < composed("fit_scene") - before < 60
    before = composed("fit_scene")
    burst = """slider => {
        for (let n = 0; n < 60; n++) { slider.value = n % 9; slider.dispatchEvent(new Event("input")); }
    }"""
    stage.control("r").evaluate(burst)  # 60 moves before the kernel can answer one
    stage.settle()
    assert_fit(stage, **now | {"r": 32})
    assert 0 < composed("fit_scene") - before <= 3


def test_two_copies_on_a_page_are_two_and_two_views_of_one_are_one(page, photo):
    first, copy, view = (page.stage(number) for number in (EXPLORER, COPY, VIEW))
    for stage, r in ((first, 20), (copy, 50)):
        stage.chosen("name", "photograph")
        stage.typed("r", str(r))
    first.typed("r", "21")
    assert_explorer(copy, photo, 50, "photograph")
    assert_explorer(view, photo, 21, "photograph")
    view.typed("r", "33")
    view.settle()
    assert_explorer(first, photo, 33, "photograph")
    assert_explorer(copy, photo, 50, "photograph")
    copy.root.get_by_text("rank r", exact=True).click()  # a label is its own widget's
    assert copy.control("r").evaluate("e => e === document.activeElement")


def test_the_dark_theme_leaves_everything_readable(page, screenshots):
    change = (
        "t => { window.ended = ''; jupyterapp.commands.execute('apputils:change-theme', {theme: t}).then(() => "
        "window.ended = 'well'); }"
    )
    try:
        page.page.evaluate(change, "JupyterLab Dark")
        page.ended("dark theme", 60)
        page.page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
        stage = page.stage(FIT)
        stage.root.screenshot(path=screenshots / "fit_dark_theme.png")
        script = (
            "all => all.map(e => [getComputedStyle(e).color, getComputedStyle(e.closest('.stage')).backgroundColor])"
        )
        for pair in stage.root.locator("label, .words, input[type=text], select").evaluate_all(script):
            text, ground = ([int(n) / 255 for n in re.findall(r"\d+", color)[:3]] for color in pair)
            light = [
                sum(
                    w * (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
                    for w, c in zip((0.2126, 0.7152, 0.0722), color, strict=True)
                )
                for color in (text, ground)
            ]
            assert (max(light) + 0.05) / (min(light) + 0.05) > 7  # WCAG 2.2's enhanced contrast
    finally:
        page.page.evaluate(change, "JupyterLab Light")
        page.ended("light theme", 60)


def test_widgets_survive_run_all_again_and_leave_no_error(page, photo):
    page.run_all()
    assert page.page.locator(".stage").count() == len(CELLS)
    stage = page.stage(EXPLORER)
    stage.pressed("r", "ArrowRight")
    assert_explorer(stage, photo, 21, "photograph")
    assert page.errors() == []


def assert_asleep(stage: Any, axis: str, other: str) -> None:
    """It says at once that it sleeps, how to wake it and what still moves; what would need Python cannot be moved."""
    expect(stage.root.locator(".asleep")).to_be_visible()
    assert stage.asleep == (
        f"Run this lesson's cells again to wake me up: Python has stopped. Until then, only “{axis}” moves the picture."
    )
    expect(stage.root.locator(f"[data-name={other}], [data-typed={other}]").first).to_be_disabled()
    expect(stage.control(stage.axis)).to_be_enabled()


def test_widgets_sleep_through_a_restart_and_wake_when_the_cells_run_again(lab, open_lesson, photo, screenshots):
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
    assert_explorer(stage, photo, 23, "photograph")
    stage.typed_only("r", "22.5")
    expect(stage.root.locator(".said")).to_contain_text("run this lesson's cells again to wake the widget")
    lesson.restart("notebook:restart-run-all", seconds=3000)
    assert lesson.page.locator(".stage").count() == 2
    stage = lesson.stage(0)
    assert stage.asleep == "" and stage.control("name").is_enabled()
    assert_explorer(stage, photo, 20, "photograph")
    stage.pressed("r", "ArrowRight")
    assert_explorer(stage, photo, 21, "photograph")
    anatomy = lesson.stage(1)
    anatomy.typed("d", "400")
    assert_anatomy(anatomy, 400, 576, 8, 16)
    assert lesson.errors() == []


def test_a_widget_whose_kernel_is_gone_says_so_and_how_to_wake_it(lab, open_lesson):
    lab.write("asleep", SETUP, CELLS[ANATOMY])
    lesson = open_lesson("asleep")
    lesson.run_all()
    stage = lesson.stage(0)
    lesson.command("kernelmenu:shutdown")
    lesson.page.wait_for_function("() => !jupyterapp.shell.currentWidget.sessionContext.session?.kernel")
    stage.control("r").focus()
    lesson.page.keyboard.press("ArrowRight")
    assert_anatomy(stage, 1536, 576, 9, 16)
    lesson.page.wait_for_timeout(6000)
    assert stage.said == "", "along its axis it needs no kernel"
    box = stage.box("d")
    box.fill("400")
    box.press("Enter")
    stage.root.locator(".said:not(:empty)").wait_for(timeout=60_000)
    assert stage.said == (
        "Python has not answered yet. If no cell is running, the kernel has stopped: run this lesson's cells again to "
        "wake the widget."
    )


def test_the_next_day_widgets_and_what_was_dragged_are_there_without_a_kernel(lab, open_lesson, screenshots, photo):
    lab.write(
        "tomorrow", SETUP, CELLS[EXPLORER], CELLS[ANATOMY], "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)): pass"
    )
    lesson = open_lesson("tomorrow")
    lesson.run_all()
    lesson.stage(0).pressed("r", "ArrowRight", "ArrowRight")
    lesson.stage(1).typed("d", "400")
    assert lesson.saved()["metadata"]["widgets"], "the widgets' state is in the file"
    assert (lab.notebooks / "tomorrow.ipynb").stat().st_size < 6e6
    lesson.__exit__()
    lesson = open_lesson("tomorrow", kernel=False)
    stage = lesson.stage(0)
    assert_asleep(stage, "rank r", "name")
    assert_explorer(stage, photo, 23, "photograph")
    stage.control("r").focus()
    lesson.page.keyboard.press("ArrowRight")
    assert_explorer(stage, photo, 25, "photograph")
    assert_anatomy(lesson.stage(1), 400, 576, 8, 16)
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


def test_a_stored_notebook_shows_stills_without_a_kernel(lab, open_lesson, screenshots, photo):
    lab.write("stored", SETUP, CELLS[EXPLORER], CELLS[FIT])
    lesson = open_lesson("stored")
    lesson.run_all()
    lesson.stage(0)
    path = lab.notebooks / "stored.ipynb"
    clean = stored.normalise(nbformat.from_dict(lesson.saved()))
    lesson.__exit__()
    nbformat.write(clean, path)
    lesson = open_lesson("stored")
    expected = [
        rank_explorer_still(photo, 20, "photograph")[1],
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


# ---- the lessons themselves ----


def modules_of(room: str) -> list[Any]:
    """A room's modules that may make a widget: itself, and its widget's where that is a file of its own."""
    made = [importlib.import_module(f"lora_lessons.lessons.{room}")]
    if hasattr(made[0], "__path__") and importlib.util.find_spec(f"lora_lessons.lessons.{room}.widget"):
        made.append(importlib.import_module(f"lora_lessons.lessons.{room}.widget"))
    return made


WIDGETS = {
    name: made
    for module in chain.from_iterable(map(modules_of, rooms()))
    for name, made in vars(module).items()
    if inspect.isfunction(made) and not name.startswith("_") and made.__annotations__.get("return") == "Stage"
}
CALLS = rf"(?:\w+\.)?({'|'.join(WIDGETS)})"


def stages_of(lesson: Path) -> list[str]:
    """The names of the widgets that a lesson shows, in their order."""
    sources = [cell.source for cell in nbformat.read(lesson, 4).cells if cell.cell_type == "code"]
    return [name for source in sources for name in re.findall(rf"^{CALLS}\(", source, re.MULTILINE)]


def needed(lesson: Path) -> list[int]:
    """The numbers of the cells that the widgets and the unsolved exercises need: them, and what makes their names.

    Whole lessons are run by papermill and nbval; here the others keep their stored outputs on the page.
    """
    cells, found, names = nbformat.read(lesson, 4).cells, [], set()
    for number, cell in reversed(list(enumerate(cells))):
        if cell.cell_type != "code":
            continue
        tree = ast.parse(re.sub(r"^(\s*)[!%].*$", r"\1pass", cell.source, flags=re.M))
        nodes = list(ast.walk(tree))
        made = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        made |= {n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
        made |= {a.asname or a.name for n in nodes if isinstance(n, (ast.Import, ast.ImportFrom)) for a in n.names}
        asked = re.search(rf"^({CALLS}|check|begin)\(", cell.source, re.M) or "setup" in cell.metadata.get("tags", [])
        if asked or made & names:
            found.append(number)
            names = (names - made) | {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    return found[::-1]


AFTER_20 = next(r for r in explorer.slider_ranks(300) if r > 20)

# What the words say after one step along its axis from where each widget begins.
NEXT = {
    "block": lambda: block_still(2)[1],
    "fit": lambda: fit_words(**fitting.FIT | {"seq": fitting.LENGTHS[fitting.LENGTHS.index(fitting.FIT["seq"]) + 1]}),
    "rank_explorer": lambda: rank_explorer_still(explorer.photograph(), AFTER_20, "photograph")[1],
    "start_map": lambda: anatomy.story(anatomy.descend(0.6, 0.0)),
    "layer_anatomy": lambda: anatomy.layer_anatomy_words(1536, 576, 9, 16),
    "beta_lab": lambda: next_beta_of_the_lab(),
}


def next_beta_of_the_lab() -> str:
    scene = WIDGETS["beta_lab"]()._scene
    return scene.words[len(scene.stops) // 2 + 1]


# Every lesson with a widget. The others need no page: papermill and nbval run them.
@pytest.mark.parametrize(
    "path",
    [pytest.param(p, id=p.stem) for p in [*lessons(), *side_trips()] if stages_of(p)],
)
def test_a_lessons_widgets_move_and_its_exercises_are_open(open_lesson, path, screenshots):
    lesson, names = open_lesson(place(path).removesuffix(".ipynb")), stages_of(path)
    lesson.run_cells(needed(path))
    expect(lesson.page.locator(".stage")).to_have_count(len(names), timeout=60_000)
    for number, name in enumerate(names):
        stage = lesson.stage(number)
        before = stage.words, stage.picture()
        stage.root.screenshot(path=screenshots / f"{path.stem}_{name}.png")
        stage.pressed(stage.axis, "ArrowRight")
        assert stage.words.startswith(NEXT[name]()) and stage.words != before[0]
        assert (stage.picture() != before[1]).any()
        stage.root.screenshot(path=screenshots / f"{path.stem}_{name}_moved.png")
    assert lesson.errors() == []
