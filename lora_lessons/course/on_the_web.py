"""What a page without a kernel gets of a lesson's widgets: each room says what its own offer there.

A Stage is worked out beforehand at the values named here, as plain JSON: pictures lose colours that nobody sees, places
keep a tenth of a pixel. A widget of another kind brings its recorded answers along.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ..machine import stamp
from .stage import Stage

SCENE = "application/vnd.lora-lessons.scene+json"  # an output's own baked file: what that very run measured


class Live(NamedTuple):
    """A widget that lives on the web, and the call in a notebook's cell that shows it."""

    name: str
    cell: str
    make: Callable[[], Any]
    values: Mapping[str, Sequence[Any]]
    apart: tuple[str, ...]
    controls: int
    ends: bool = False


class Kind(NamedTuple):
    """A widget's own part of its page half (see `page_half`), and what stands in for Python on the web."""

    esm: Path
    css: Path | None
    answers: Path | None


LIVE: dict[str, Live] = {}
KINDS: dict[str, Kind] = {}


def live(
    name: str,
    cell: str,
    make: Callable[[], Any],
    values: Mapping[str, Sequence[Any]] | None = None,
    apart: Sequence[str] = (),
    controls: int = 1,
    ends: bool = False,
) -> None:
    """Let the widget that `cell` shows live on the web, under `name`.

    `make` gives the Stage as the lesson's cell makes it. `values` are those that a control offers there; a control that
    is not named offers all it has. The slider's own name thins out its stops. Settings that differ in a control named
    in `apart` lie in files of their own, fetched when they are first asked for. `controls` is how many there are, so
    that the page keeps room for them. With `ends`, a whole number typed beyond what the slider can be is answered with
    Python's own refusal.
    """
    LIVE[name] = Live(name, cell, make, values or {}, tuple(apart), controls, ends)


def kind(name: str, esm: Path, css: Path | None = None, answers: Path | None = None) -> None:
    """Let the site know a kind of widget: its own script and style in JupyterLab,
    and a script that answers in place of Python."""
    KINDS[name] = Kind(esm, css, answers)


kind("stage", Path(__file__).with_name("stage.js"), Path(__file__).with_name("stage.css"))
kind(
    "chat_box",
    Path(__file__).with_name("chat_box.js"),
    Path(__file__).with_name("chat_box.css"),
    Path(__file__).with_name("chat_box.replay.js"),
)


def played(
    name: str,
    kind: str,
    state: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    made: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What an output keeps under SCENE of a widget that can be asked: its traits, and recorded answers, one a row.

    `made` has the machine and the date of the recording; without it they are this machine and today.
    """
    note = f"{recorded_on(made)} In JupyterLab you can ask anything."
    return {"name": name, "kind": kind, "note": note, "state": dict(state), "answers": {"rows": list(rows)}}


def recorded_on(made: Mapping[str, Any] | None = None) -> str:
    """When and where something was recorded, as a sentence; without `made`: here and today."""
    made = made or stamp()
    return f"Recorded on {made['date']}, {made['machine']}."


COLORS, ON_A_PHONE = 128, 32  # of a backdrop
MOST = 250_000  # numbers in a product's two matrices: with the picture below it, 400 kB
PLACES = ("x", "y", "width", "height")  # a mark's columns that are kept to a tenth of a pixel

File = dict[str, Any]


def whole_stage(stage: Stage, note: str) -> File:
    """The baked file of a Stage whose only control is its slider: every stop of it. `note` stands below the widget."""
    scene = stage.scene
    state = {
        "controls": stage.controls,
        "axis": stage.axis,
        "values": stage.values,
        "answered": stage.values,
        "said": "",
        "backdrop": backdrop(stage.backdrop, 0),
        "scene": thinned(scene, stage.axis, {}, 0),
    }
    label = next(control["label"] for control in stage.controls if control["name"] == stage.axis)
    return {
        "kind": "stage",
        "note": note,
        "state": state,
        "answers": {"unheld": {stage.axis: unheld(label, scene["stops"])}},
    }


def unheld(label: str, values: Sequence[Any]) -> str:
    """What to say to a typed value that is not there."""
    few = list(map(_said, values))
    listed = ", ".join(few) if len(few) < 14 else ", ".join([*few[:6], "…", *few[-3:]])
    return f"Without Python, this page knows “{label}” at these values alone: {listed}. In JupyterLab you can type any."


def _said(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)


def backdrop(trait: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A Stage's backdrop under another number, its pictures with fewer colours."""
    narrow = {**trait["narrow"], "png": binary(fewer_colors(trait["narrow"]["png"], ON_A_PHONE))}
    return {**trait, "id": number, "png": binary(fewer_colors(trait["png"])), "narrow": narrow}


@lru_cache(maxsize=64)
def fewer_colors(png: bytes, colors: int = COLORS) -> bytes:
    """The picture with a palette: a third of the bytes."""
    small = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        few = image.convert("RGB").quantize(colors, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few.save(small, format="png", optimize=True)
    return min(small.getvalue(), png, key=len)


def thinned(scene: Mapping[str, Any], axis: str, held: Mapping[str, Sequence[Any]], number: int) -> dict[str, Any]:
    """A Stage's scene before backdrop `number`, its stops along `axis` and where it takes the pointer as in `held`."""
    kept = [i for i, stop in enumerate(scene["stops"]) if stop in held.get(axis, scene["stops"])]

    def column(value: Any) -> Any:
        return [value[i] for i in kept] if isinstance(value, list) and len(value) > 1 else value

    return {
        **scene,
        "backdrop": number,
        "stops": column(scene["stops"]),
        "words": column(scene["words"]),
        "marks": [_thinned_mark(mark, column) for mark in scene["marks"]],
        "grab": {side: _grab(one, held.get(one["name"], one["stops"])) for side, one in scene["grab"].items()},
    }


def _thinned_mark(mark: Mapping[str, Any], column: Callable[[Any], Any]) -> dict[str, Any]:
    """A mark with the `column` of each of its values that is kept; of a product, fewer rows, columns and ranks."""
    if mark["kind"] != "product":
        return {name: _tenths(name, column(value)) for name, value in mark.items()}
    ranks = column(mark["ranks"])
    every = _every(mark, max(ranks))
    sides = {side: -(-mark[side] // every[side]) for side in every}
    factors = {f: matrix(mark[f], mark[side], max(ranks), every[side]) for f, side in (("B", "rows"), ("A", "cols"))}
    return {**mark, **sides, "ranks": ranks, "lut": binary(mark["lut"]), **factors}


def _every(mark: Mapping[str, Any], directions: int) -> dict[str, int]:
    """Of a large product every second (fourth …) row or column is kept, so that its file stays small."""
    every = {"rows": 1, "cols": 1}
    while directions * sum(mark[side] // every[side] for side in every) > MOST:
        every[max(every, key=lambda side: mark[side] / every[side])] *= 2
    return every


def _tenths(name: str, value: Any) -> Any:
    if name not in PLACES:
        return value
    return [round(v, 1) for v in value] if isinstance(value, list) else round(value, 1)


def _grab(side: Mapping[str, Any], stops: Collection[Any]) -> dict[str, Any]:
    """One of the two controls that the pointer moves, at the stops that are there."""
    kept = [(stop, round(place, 1)) for stop, place in zip(side["stops"], side["places"], strict=True) if stop in stops]
    return {**side, "stops": [stop for stop, _ in kept], "places": [place for _, place in kept]}


def binary(data: bytes) -> dict[str, str]:
    """Bytes in JSON."""
    return {"base64": base64.b64encode(data).decode()}


def matrix(floats: bytes, across: int, directions: int, every: int = 1) -> dict[str, Any]:
    """The first `directions` rows of a float32 matrix `across` wide, a byte a number, each row with a step of its own.

    With `every` = 2 (3 …), every second (third …) column of it.
    """
    rows = np.frombuffer(floats, np.float32).reshape(-1, across)[:directions, ::every]
    steps = np.maximum(np.abs(rows).max(1), 1e-30) / 127
    return {"int8": binary(np.rint(rows / steps[:, None]).astype(np.int8).tobytes())["base64"], "steps": steps.tolist()}
