"""The stage: a mark lies at one place in the still and on the page, and the kernel is asked only when it must be."""

import base64
import html
import io
import json
import re

import numpy as np
import pytest
import torch
from matplotlib import colormaps, rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lora_lessons.course import stage
from lora_lessons.course.stage import DPI, Backdrop, Scene, Stage

RED = "#ff0000"
STOPS = [1, 2, 4]


@pytest.fixture
def ax():
    """Axes on a figure of 400×300 pixels, x logarithmic, nothing drawn in them."""
    figure = Figure(figsize=(4, 3))
    ax = figure.subplots()
    ax.set(xscale="log", xlim=(1, 100), ylim=(-1, 3))
    ax.axis("off")
    return ax


@pytest.fixture
def scene(ax):
    """A scene of three stops on that figure."""
    return Scene(Backdrop(ax.figure), STOPS, [f"stop {s}" for s in STOPS])


def red_box(figure):
    """Left, top, right and bottom edge, in pixels of the page, of what is red in the figure as it is drawn."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    red, green, blue, _ = np.moveaxis(np.asarray(canvas.buffer_rgba()).astype(int), 2, 0)
    y, x = np.nonzero((red > 200) & (green < 100) & (blue < 100))
    return x.min(), y.min(), x.max() + 1, y.max() + 1


def at(column, i):
    return column[i if len(column) > 1 else 0]


# ---- one place, twice ----


@pytest.mark.parametrize("i", range(3))
def test_a_dot_has_one_place_and_size(ax, scene, i):
    scene.dot(ax, [2, 10, 50], 2, RED, size=18)
    (mark,) = scene.page()["marks"]
    x, y, r = at(mark["x"], i), at(mark["y"], i), mark["r"]
    assert r == 12.5, "18 points across are 25 pixels"
    edge = 2 / 72 * DPI / 2  # half of the outline lies outside
    assert red_box(scene.still(STOPS[i])[0]) == pytest.approx(
        (x - r - edge, y - r - edge, x + r + edge, y + r + edge), abs=1.5
    )
    assert mark["stroke"] == mark["fill"] == [RED]


def test_the_pages_y_axis_points_down(ax, scene):
    scene.dot(ax, 10, [0, 1, 2], RED)
    low, middle, high = scene.page()["marks"][0]["y"]
    assert low > middle > high > 0


@pytest.mark.parametrize("ha, va", [("left", "top"), ("center", "center"), ("right", "bottom")])
def test_words_hang_from_one_place(ax, scene, ha, va):
    scene.text(ax, [5, 10, 20], [1, 0, 2], ["Hlp", "HlpH", "lp"], RED, size=14, ha=ha, va=va)
    (mark,) = scene.page()["marks"]
    assert (mark["ha"], mark["va"], mark["size"]) == (ha, va, pytest.approx(14 * DPI / 72))
    for i, stop in enumerate(STOPS):
        left, top, right, bottom = red_box(scene.still(stop)[0])
        x, y = mark["x"][i], mark["y"][i]
        assert {"left": left, "center": (left + right) / 2, "right": right}[ha] == pytest.approx(x, abs=3)
        assert {"top": top, "center": (top + bottom) / 2, "bottom": bottom}[va] == pytest.approx(y, abs=5)


def test_a_line_goes_through_one_set_of_places(ax, scene):
    scene.line(ax, [[2, 50], [3, 10, 30], []], [[0, 2], [1, -1, 2], []], RED, width=1.44, dashes="--")
    (mark,) = scene.page()["marks"]
    assert mark["d"][2] == "" and mark["dashes"] and mark["width"] == pytest.approx(2)
    for i in (0, 1):
        assert re.fullmatch(r"M[-\d.]+,[-\d.]+(L[-\d.]+,[-\d.]+)+", mark["d"][i])
        places = np.array([pair.split(",") for pair in mark["d"][i][1:].split("L")], float)
        box = (*places.min(0), *places.max(0))
        assert red_box(scene.still(STOPS[i])[0]) == pytest.approx(box, abs=4)
    scene.still(4)  # an empty line is no error


@pytest.fixture
def product():
    """B (5×3) · A (3×7) on axes of its own, and the mark that the page gets."""
    generator = torch.Generator().manual_seed(0)
    B, A = torch.randn(5, 3, generator=generator, dtype=torch.float64), torch.randn(3, 7, generator=generator)
    figure = Figure(figsize=(4, 3))
    ax = figure.subplots()
    scene = Scene(Backdrop(figure), STOPS, ["", "", ""])
    scene.product(ax, B, A, "RdBu_r", -2.0, 2.0)
    return B.float(), A, scene, scene.page()["marks"][0]


def test_the_page_can_multiply_what_it_was_sent(product):
    B, A, scene, mark = product
    columns = np.frombuffer(mark["B"], np.float32).reshape(-1, mark["rows"])  # stage.js: B[j * rows + row]
    rows = np.frombuffer(mark["A"], np.float32).reshape(-1, mark["cols"])  # A[j * cols + col]
    for i, stop in enumerate(STOPS):
        shown = sum(np.outer(columns[j], rows[j]) for j in range(i + 1))
        assert np.allclose(shown, B[:, : i + 1] @ A[: i + 1], atol=1e-6)
        (image,) = scene.still(stop)[0].axes[0].images
        assert np.allclose(image.get_array(), shown, atol=1e-6) and image.get_clim() == (mark["low"], mark["high"])


def test_the_page_has_the_colormaps_colours(product):
    *_, mark = product
    lut = np.frombuffer(mark["lut"], np.uint8).reshape(256, 3)
    assert np.array_equal(lut, colormaps["RdBu_r"](np.linspace(0, 1, 256), bytes=True)[:, :3])


def test_the_matrix_fills_one_box(product):
    *_, scene, mark = product
    figure, _ = scene.still(1)
    figure.set_dpi(DPI)
    box = figure.axes[0].get_window_extent()
    sides = [mark[side] for side in ("x", "y", "width", "height")]
    assert sides == pytest.approx([box.x0, 300 - box.y1, box.width, box.height], abs=0.02)


# ---- scenes ----


def test_columns_of_a_wrong_length_are_refused(ax, scene):
    with pytest.raises(ValueError, match="dot: .* 2 values for 3 stops"):
        scene.dot(ax, [1, 2, 3], [1, 2], RED)
    with pytest.raises(ValueError, match="text: .* 4 values for 3 stops"):
        scene.text(ax, 1, 1, list("abcd"), RED)
    assert scene.marks == []


def test_one_backdrop_is_drawn_once_and_no_still_writes_on_it(ax):
    backdrop = Backdrop(ax.figure)
    scenes = [Scene(backdrop, STOPS, ["a", "b", "c"]) for _ in range(2)]
    for scene in scenes:
        scene.dot(ax, 10, 1, RED)
    first = scenes[0].page()
    png = backdrop.page["png"]
    assert png.startswith(b"\x89PNG") and (backdrop.page["width"], backdrop.page["height"]) == (400, 300)
    assert scenes[1].page()["backdrop"] == first["backdrop"] == backdrop.page["id"] and backdrop.page["png"] is png
    stills = [scene.still(stop)[0] for scene in scenes for stop in (1, 2)]
    assert [len(figure.axes[0].lines) for figure in stills] == [1] * 4 and not ax.lines
    assert Backdrop(Figure()).page["id"] != backdrop.page["id"]


def test_a_still_has_its_stops_sentence_and_no_other_stop(scene):
    assert scene.still(2)[1] == "stop 2"
    with pytest.raises(ValueError):
        scene.still(3)


def test_the_page_gets_json_and_bytes(ax, scene):
    scene.dot(ax, np.array([2, 10, 50]), np.float32(1), [RED, RED, "#000000"], hollow=True)
    scene.bar(ax, [2, 10, 50], 0, range(1, 4), 1, RED)
    scene.text(ax, 2, [0, 1, 2], "words", RED)
    scene.line(ax, [range(1, 3)] * 3, [[0, 1]] * 3, RED)
    scene.product(ax.figure.add_axes((0, 0, 1, 1)), torch.ones(2, 3), torch.ones(3, 2), "gray", 0.0, 1.0)
    binary = []
    text = json.dumps([scene.page(), scene.backdrop.page], default=binary.append, allow_nan=False)
    assert json.loads(text) and len(binary) == 5 and all(type(one) is bytes for one in binary)
    assert {mark["kind"] for mark in scene.page()["marks"]} == stage.DRAW.keys() == stage.PAGE.keys()


def test_on_a_phone_panels_stand_one_below_the_other_and_words_fit(monkeypatch):
    monkeypatch.setitem(rcParams, "figure.constrained_layout.use", True)
    monkeypatch.setitem(rcParams, "axes.titlelocation", "left")
    figure = Figure(figsize=(9, 3))
    left, right = figure.subplots(1, 2)
    left.set_title("A title that is far too long for one line of a picture on a phone")
    right.set(xlim=(0, 5))
    page = Backdrop(figure, (2.5, 2)).page
    (x0, y0, wide, tall), (x1, y1, *_) = page["narrow"]["axes"]
    assert page["axes"][1][0] > sum(page["axes"][0][:3:2]), "on a screen they stand side by side"
    assert (page["narrow"]["width"], page["narrow"]["height"]) == (420, 450)
    assert y1 > y0 + tall and abs(x0 - x1) < 30 and x0 + wide <= 420 and wide > 300
    narrow = Backdrop(figure, (2.5, 2)).narrow()
    assert narrow.axes[1].get_xlim() == (0, 5), "the axes show the same, so that marks keep their place in them"
    assert max(map(len, narrow.axes[0].get_title(loc="left").split("\n"))) <= 40
    assert figure.get_size_inches().tolist() == [9, 3] and "\n" not in left.get_title(loc="left")


def test_the_pages_script_knows_every_kind_of_mark():
    assert set(re.findall(r"^  (\w+): \(mark, \{", str(stage.Stage._esm), re.M)) == stage.PAGE.keys()


# ---- the widget ----


@pytest.fixture
def asked():
    """What compose was asked for, in order."""
    return []


@pytest.fixture
def widget(asked):
    """A dot at (stop, height) for stops 1 … `top`; a height below 0 is refused."""

    def compose(stop, height, top):
        asked.append((stop, height, top))
        if type(stop) is not int or not 1 <= stop <= top:
            raise ValueError(f"stop is 1 to {top}; got {stop!r}.")
        if height < 0:
            raise ValueError("no height below 0.")
        figure = Figure(figsize=(2, 1))
        ax = figure.subplots()
        ax.set(xlim=(0, 10), ylim=(0, 10))
        scene = Scene(
            Backdrop(figure),
            range(1, top + 1),
            [f"<{s}> & {height}" for s in range(1, top + 1)],
            locked=["height"] if top == 9 else [],
        )
        scene.dot(ax, list(scene.stops), height, RED)
        return scene

    controls = [stage.slider("stop", "stop"), stage.number("height", "height"), stage.choice("top", "top", ["5", "9"])]
    made = Stage(compose, "stop", controls, stop=2, height=3, top=5)
    asked.clear()
    return made


def turn(widget, **values):
    """Set controls as the page does: all values at once."""
    widget.values = widget.values | values
    assert widget.answered == widget.values


def test_moving_along_the_axis_asks_nothing_and_any_other_change_asks_once(widget, asked):
    scene = widget.scene
    for stop in (1, 5, 3):
        turn(widget, stop=stop)
    assert asked == [] and widget.scene is scene and scene["locked"] == []
    assert widget.still()[1] == "<3> & 3", "the still follows"
    turn(widget, top=9)
    turn(widget, stop=7, height=1)
    assert asked == [(3, 3, 9), (7, 1, 9)] and widget.scene["locked"] == ["height"]


def test_a_refusal_is_said_and_the_last_picture_stays(widget):
    scene, backdrop = widget.scene, widget.backdrop
    turn(widget, height=-1)
    assert widget.said == "no height below 0."
    turn(widget, stop=3)
    assert widget.said == "no height below 0.", "it is still what stands in the way"
    assert widget.still()[1] == "<3> & 3", "the page moves on along the axis, and so does the still"
    turn(widget, stop=99)
    assert widget.said == "stop is 1 to 5; got 99."
    assert widget.scene is scene and widget.backdrop is backdrop
    assert html.escape("<3> & 3") in widget._repr_mimebundle_()[0]["text/html"]
    turn(widget, stop=4, height=3)
    assert widget.said == "" and widget.still()[1] == "<4> & 3"


def test_the_pointer_moves_two_controls_at_their_places(ax, scene):
    assert scene.page()["grab"] == {}
    scene.grab(ax, ("a", STOPS), ("b", [0, 1]))
    grab, height = scene.page()["grab"], scene.backdrop.page["height"]
    places = [ax.transData.transform((stop, 0)) for stop in STOPS]
    assert grab["x"] == {
        "name": "a",
        "ax": 0,
        "stops": STOPS,
        "places": pytest.approx([x for x, _ in places], abs=0.01),
    }
    rows = [height - ax.transData.transform((0, stop))[1] for stop in (0, 1)]
    assert grab["y"] == {"name": "b", "ax": 0, "stops": [0, 1], "places": pytest.approx(rows, abs=0.01)}


def test_answers_reach_the_page_in_one_message_and_a_backdrop_once(ax, monkeypatch):
    backdrop = Backdrop(ax.figure)

    def compose(stop, height):
        scene = Scene(backdrop, STOPS, [f"{height}"] * 3)
        scene.dot(ax, 10, height, RED)
        return scene

    widget, sent = Stage(compose, "stop", [stage.number("height", "height")], stop=1, height=1), []
    monkeypatch.setattr(widget, "send_state", lambda key=None: sent.append({key} if isinstance(key, str) else set(key)))
    turn(widget, height=2)
    (keys,) = [keys for keys in sent if "scene" in keys]
    assert "answered" in keys and not any("backdrop" in keys for keys in sent)


def test_without_a_kernel_there_is_a_still_with_a_caption(widget):
    bundle, _ = widget._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    page = bundle["text/html"]
    source = re.search(r'<img alt="&lt;2&gt; &amp; 3" src="data:image/png;base64,([^"]+)">', page).group(1)
    assert base64.b64decode(source).startswith(b"\x89PNG")
    assert "<figcaption><i>In words:</i> &lt;2&gt; &amp; 3 " in page and "run the cell" in page


def test_two_copies_do_not_share_what_they_show(widget, asked):
    other = Stage(widget._compose, "stop", widget.controls, stop=2, height=3, top=5)
    turn(other, height=5)
    assert widget.values["height"] == 3 and widget.scene["words"][1] == "<2> & 3" and other.model_id != widget.model_id
    first, second = (io.BytesIO(), io.BytesIO())
    for png in (first, second):
        other.still()[0].savefig(png, metadata={"Software": None})
    assert first.getvalue() == second.getvalue(), "asked twice, drawn once"


@pytest.mark.parametrize("ylim", [(0, 3), (3, 0)])
@pytest.mark.parametrize("xlim", [(0, 4), (4, 0)])
def test_a_bar_has_its_corner_and_its_size_whichever_way_the_axes_run(ax, xlim, ylim):
    """SVG draws no rectangle of negative height: such a bar would be missing from the page alone."""
    ax.set(xscale="linear", xlim=xlim, ylim=ylim)
    scene = Scene(Backdrop(ax.figure), [1, 2], ["a", "b"])
    scene.bar(ax, 1, 0.5, [1, 2], 1, "red")
    (bar,) = scene.page()["marks"]
    box = ax.get_window_extent()
    assert bar["width"] == pytest.approx([box.width / 4, box.width / 2], abs=0.02)
    assert bar["height"] == pytest.approx([box.height / 3] * len(bar["height"]), abs=0.02)
    corner = ax.transData.transform((1 if xlim[1] else 2, 1.5 if ylim[1] else 0.5))
    assert (bar["x"][0], scene.backdrop.page["height"] - bar["y"][0]) == pytest.approx(corner, abs=0.02)
