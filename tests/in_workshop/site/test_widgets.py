"""Widgets without a kernel: each scene is what the lesson's own `compose` gives, and each still knows its widget."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import struct
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image
from stills import BOXES, boxes

from lora_lessons import lessons
from lora_lessons.course.lesson import lessons as notebooks
from lora_lessons.course.lesson import side_trips
from lora_lessons.course.on_the_web import KINDS, LIVE, SCENE, Live, matrix, whole_stage
from lora_lessons.course.page_half import page_half
from lora_lessons.course.stage import Stage
from lora_lessons.drawing import use_style
from workshop.site import baking, widgets

lessons.rooms()
A_WIDGET = "(A picture of a widget"
BUDGET = 400_000
SETTINGS = 2  # of each widget are looked at one by one, beside its first


@cache
def stage_of(name: str) -> Stage:
    use_style()
    return LIVE[name].make()


@cache
def starts(name: str) -> dict[str, Any]:
    return dict(stage_of(name).values)


@cache
def opening(name: str) -> dict[str, Any]:
    """The file that a widget opens with: what lies in other files is left out."""
    live, start = LIVE[name], starts(name)
    near = {one: [start[one]] for one in live.apart}
    file, further = baking.bake_stage(live._replace(values={**live.values, **near}), stage_of(name))
    assert not further
    return json.loads(json.dumps(file))


def looked_up(file: dict[str, Any], values: dict[str, Any]) -> dict[str, Any] | str:
    """The scene, or the sentence, that a page shows for these values."""
    answers, place = file["answers"], 0
    for name, held in answers["held"].items():
        place = place * len(held) + held.index(values[name])
    number = answers["table"][place]
    return answers["refused"][-1 - number] if number < 0 else answers["parts"][0]["scenes"][str(number)]


def some_settings(name: str) -> Iterator[dict[str, Any]]:
    held = opening(name)["answers"]["held"]
    every = [dict(zip(held, values, strict=True)) for values in product(*held.values())]
    yield from [starts(name), *every[:: max(1, len(every) // SETTINGS)]]


def near(ours: Any, theirs: Any) -> bool:
    """Texts and colours alike, places within a tenth of a pixel."""
    if not isinstance(theirs, list):
        ours, theirs = [ours], [theirs]
    if isinstance(theirs[0], str):
        return ours == theirs
    return bool(np.allclose(ours, theirs, rtol=0, atol=0.051))


# ---- what is baked ----


@pytest.mark.parametrize("name", LIVE)
def test_each_baked_scene_is_what_compose_gives(name):
    stage, axis = stage_of(name), stage_of(name).axis
    for setting in some_settings(name):
        asked = {**setting, axis: starts(name)[axis]}
        shown = looked_up(opening(name), asked)
        try:
            theirs = stage._compose(**asked).page()
        except ValueError as error:
            assert shown == str(error)
            continue
        assert isinstance(shown, dict) and shown["locked"] == theirs["locked"]
        at = [theirs["stops"].index(stop) for stop in shown["stops"]]
        assert asked[axis] in shown["stops"]
        assert shown["words"] == [theirs["words"][i] for i in at]
        for mine, mark in zip(shown["marks"], theirs["marks"], strict=True):
            assert mine.keys() == mark.keys()
            for part in mark.keys() - {"B", "A", "lut"}:
                moves = isinstance(mark[part], list) and len(mark[part]) == len(theirs["stops"])
                assert near(mine[part], [mark[part][i] for i in at] if moves else mark[part]), (mine["kind"], part)


def test_a_row_in_bytes_keeps_its_largest_number():
    rows = np.array([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0], [3.0, 3.0, 3.0]], np.float32)
    small = matrix(rows.tobytes(), across=3, directions=2)
    back = np.frombuffer(base64.b64decode(small["int8"]), np.int8).reshape(2, 3) * np.array(small["steps"])[:, None]
    assert np.abs(back - rows[:2]).max() <= 1 / 127 and back[0, 1] == pytest.approx(-2)


@pytest.mark.parametrize("name", LIVE)
def test_a_picture_with_fewer_colours_looks_the_same(name):
    stage = stage_of(name)
    theirs = Image.open(io.BytesIO(stage.backdrop["png"])).convert("RGB")
    part = opening(name)["answers"]["parts"][0]
    backdrop = part["backdrops"][str(looked_up(opening(name), starts(name))["backdrop"])]
    ours = Image.open(io.BytesIO(base64.b64decode(backdrop["png"]["base64"]))).convert("RGB")
    apart = np.abs(np.asarray(ours, int) - np.asarray(theirs, int))
    assert apart.mean() < 0.2 and (apart > 16).mean() < 0.001 and apart.max() < 64
    assert (backdrop["width"], backdrop["height"]) == (stage.backdrop["width"], stage.backdrop["height"])


@pytest.mark.parametrize("name", LIVE)
def test_what_a_widget_opens_with_is_within_the_budget(name):
    assert len(widgets.packed(opening(name))) <= BUDGET


def test_what_cannot_be_is_answered_with_the_lessons_own_sentence():
    file, _ = baking.bake_stage(Live("boxes", "", boxes, {}, (), 3), boxes())
    said = looked_up(json.loads(json.dumps(file)), {**BOXES, "model": "large", "card": "small"})
    assert said == "2 GB are missing for large on small: choose another."


def baked(name: str, **changed: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A widget's file and its further parts, declared otherwise;
    the Stage that the other tests look at is left alone."""
    use_style()
    return baking.bake_stage(LIVE[name]._replace(**changed), LIVE[name].make())


def test_controls_offer_what_is_there_and_a_typed_value_is_told_what_is():
    file = opening("layer_anatomy")
    d, k, r, _ = file["state"]["controls"]
    assert (d["kind"], d["stops"], d["label"]) == ("slider", [576, 1536, 4096], "d (outputs)")
    assert k["stops"] and r["stops"] == []  # the slider goes by the scene's stops
    assert set(file["answers"]["unheld"]) == {"d", "k", "r", "lora_alpha"}
    assert "“d (outputs)” at these values alone: 576, 1,536, 4,096. In JupyterLab" in file["answers"]["unheld"]["d"]
    assert "1, 2, 3, 4, 5, 6, …, 448, 480, 512." in file["answers"]["unheld"]["r"]


def test_the_pointer_goes_to_what_is_there():
    b = looked_up(opening("start_map"), starts("start_map"))["grab"]["y"]
    assert b["stops"] == opening("start_map")["answers"]["held"]["b"] and len(b["places"]) == len(b["stops"])


def test_a_control_that_has_no_say_needs_no_files_of_its_own():
    """The photograph has no kinds; so it is worked out, and kept, once."""
    file, further = baked("rank_explorer", values={"name": ["photograph"], "kind": ["q_proj", "up_proj"]})
    assert file["answers"]["table"] == [0, 0] and not further


def test_the_note_says_who_worked_it_out_and_where_there_is_more():
    assert opening("block")["note"] == baking.BEFOREHAND
    assert opening("layer_anatomy")["note"] == f"{baking.BEFOREHAND} {baking.IN_JUPYTERLAB}"


def test_a_whole_number_beyond_the_slider_is_refused_in_pythons_words():
    file, _ = baked("layer_anatomy", values={"d": [1536], "k": [576], "lora_alpha": [16], "r": [1, 8, 512]})
    below, above = file["answers"]["parts"][0]["scenes"][0]["beyond"]
    assert (below["way"], below["last"], above["way"], above["last"]) == (-1, 1, 1, 576)
    with pytest.raises(ValueError) as refused:
        stage_of("layer_anatomy")._compose(d=1536, k=576, r=600, lora_alpha=16)
    assert "600".join(above["said"]) == str(refused.value)


def test_a_large_product_loses_every_second_row_so_that_its_file_stays_small():
    file, further = baked("rank_explorer", values={"name": ["photograph", "block 15"], "kind": ["q_proj", "up_proj"]})
    assert len(further) == 2 and all(len(widgets.packed(part)) <= BUDGET for part in further)
    mark = file["answers"]["parts"][0]["scenes"][0]["marks"][0]
    assert (mark["rows"], mark["cols"]) == (300, 451), "the photograph is whole"
    rows = np.arange(12, dtype=np.float32).reshape(2, 6)
    small = matrix(rows.tobytes(), across=6, directions=2, every=2)
    back = np.frombuffer(base64.b64decode(small["int8"]), np.int8).reshape(2, 3) * np.array(small["steps"])[:, None]
    assert np.allclose(back, rows[:, ::2], atol=0.05)


def test_settings_apart_lie_in_files_of_their_own_and_the_first_opens_with_the_start():
    file, further = baked("start_map", values={"b": [-1.0, 0.0, 1.0]}, apart=("b",))
    assert file["answers"]["table"] == [1, 0, 2] and file["answers"]["homes"] == [0, 1, 2] and len(further) == 2
    assert list(file["answers"]["parts"][0]["scenes"]) == [0] and list(further[0]["scenes"]) == [1]


@pytest.mark.parametrize("values", [{"b": [1.0]}, {"a": [1.0]}])
def test_a_widget_must_offer_what_it_starts_with(values):
    with pytest.raises(ValueError, match="start_map: it starts with . = 0.[05], so live"):
        baked("start_map", values=values)


def test_a_stage_that_is_its_slider_alone_is_one_file():
    stage = stage_of("block")
    file = whole_stage(stage, "a note")
    assert (
        file["kind"] == "stage" and file["note"] == "a note" and file["state"]["scene"]["words"] == stage.scene["words"]
    )
    assert "matrix (1 to 7)" in file["answers"]["unheld"]["matrix"]
    json.dumps(file)


# ---- what is declared, and where it stands ----


def shown() -> Iterator[tuple[str, str, Any, str]]:
    """Notebook, source, output and what is said of it, of every cell of the course that shows something."""
    for path in [*notebooks(), *side_trips()]:
        for cell in nbformat.read(path, 4).cells:
            bundles = [output.get("data", {}) for output in cell.get("outputs", [])]
            for data, after in zip(bundles, [*bundles[1:], {}], strict=False):
                said = after.get("text/markdown", "") if "image/png" in data else data.get("text/html", "")
                yield path.stem, cell.source, data, said


def test_every_widget_of_the_course_lives_on_the_web():
    for stem, source, data, said in shown():
        if A_WIDGET in said:
            assert widgets.of_cell(source) or SCENE in data, (stem, source)


@pytest.mark.parametrize("name", LIVE)
def test_a_widget_starts_as_its_cell_left_it(name):
    """The sentence below the stored still is the widget's own: it was made as the cell makes it."""
    stills = [said for _, source, _, said in shown() if LIVE[name].cell in source and said]
    words = stage_of(name).still()[1]
    assert stills and all(words in still for still in stills)


@pytest.mark.parametrize("name", LIVE)
def test_a_page_keeps_room_for_the_controls_that_come(name):
    assert len(stage_of(name).controls) == LIVE[name].controls
    assert f"--controls: {LIVE[name].controls}" in widgets.mount(name)


# ---- put in place ----


def a_notebook(*cells: tuple[str, list[Any]]) -> Any:
    return new_notebook(
        cells=[new_code_cell(source, id=f"cell{n}", outputs=outputs) for n, (source, outputs) in enumerate(cells)]
    )


PNG = base64.b64encode(bytes(16) + struct.pack(">II", 840, 326) + bytes(9)).decode()


def a_still(**kept: Any) -> list[Any]:
    """A widget's still as it is stored: a picture, beside which a scene may be kept, and its words."""
    said = f"*In words:* w {A_WIDGET}: run the cell to move it.)"
    return [
        new_output("display_data", {"image/png": PNG} | kept, metadata={"image/png": {"alt": "w"}}),
        new_output("display_data", {"text/markdown": said}),
    ]


def test_a_widgets_still_is_wrapped_and_everything_else_left_alone():
    other = new_output("display_data", {"text/html": "<b>1</b>"})
    notebook = a_notebook(("l08.fit()", [*a_still(), other]), ("print(1)", a_still()))
    before = nbformat.writes(notebook)
    first, second = widgets.placed(notebook, "00_start_here").cells
    wrapped = first.outputs[0].data["text/html"]
    assert (
        'class="live-widget" data-widget="fit"' in wrapped
        and '<img alt="w" width="840" height="326" src="data:' in wrapped
    )
    assert "run the cell" not in wrapped and "where JavaScript runs" in wrapped
    assert first.outputs[1:] == [other], "its words are inside"
    assert second == notebook.cells[1] and nbformat.writes(notebook) == before


def test_a_scene_kept_with_an_output_travels_in_the_page():
    kept = {"kind": "stage", "note": "<!-- <script> </script>", "state": {}, "answers": {}}
    (cell,) = widgets.placed(a_notebook(("wick.scales()", a_still(**{SCENE: kept}))), "00_start_here").cells
    data = cell.outputs[0].data
    inside = re.search(r'<script type="application/json" class="baked">(.*?)</script>', data["text/html"])
    assert json.loads(inside[1]) == kept and "<" not in inside[1] and SCENE not in data


def test_a_widget_can_be_mounted_on_any_page():
    assert 'data-widget="block"' in widgets.mount("block") and "1 of 7: q_proj asks" in widgets.mount("block")
    every = re.escape(f"no widget is called 'nothing' on the web: choose from {', '.join(LIVE)}.")
    with pytest.raises(ValueError, match=every):
        widgets.mount("nothing")


# ---- the files ----


def test_a_baked_file_is_a_script_that_hands_over_what_was_baked_and_the_same_again(tmp_path):
    said: list[str] = []
    widgets.bake(tmp_path, ["block"], said.append)
    first = (tmp_path / "block.js").read_bytes()
    widgets.bake(tmp_path, ["block"], lambda _: None)
    assert (tmp_path / "block.js").read_bytes() == first
    assert {path.name for path in tmp_path.iterdir()} == {
        "block.js",
        *(f"kind.{name}.{end}" for name in KINDS for end in ("js", "css")),
    }
    call = re.fullmatch(r'lora_lessons_baked\("block", "([\w+/=]+)"\);\n', (tmp_path / "block.js").read_text())
    assert json.loads(gzip.decompress(base64.b64decode(call[1])))["state"]["axis"] == "matrix"
    assert said == ["widget block"]


@pytest.mark.parametrize("name", KINDS)
def test_a_kinds_module_is_wrapped_unchanged(name):
    module = page_half(KINDS[name].esm)
    wrapped = widgets.wrapped(name, module)
    assert module.partition(widgets.EXPORT)[0] in wrapped and "export default" not in wrapped


@pytest.mark.parametrize(
    "module", ["function render() {}", f"import x from 'y';\n{widgets.EXPORT}", f"{widgets.EXPORT}\nmore();"]
)
def test_a_module_that_a_page_cannot_run_from_a_disk_is_refused(module):
    with pytest.raises(ValueError, match="module of mixer"):
        widgets.wrapped("mixer", module)


def test_a_declared_widget_is_known_by_its_cell():
    assert widgets.of_cell("torch.manual_seed(seed)\nwidget.beta_lab()").name == "beta_lab"
    assert widgets.of_cell("bills = widget.fit_bill(1)") is None
    assert isinstance(widgets.declared("fit"), Live)
