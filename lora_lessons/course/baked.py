"""A Stage as plain JSON, for a page that has no kernel: its traits as they stand, smaller but not to be told apart.

Pictures keep their size and lose colours nobody sees; places keep a tenth of a pixel; a matrix keeps a byte a number.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from .stage import Stage

COLORS = 128  # of a backdrop
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
    """A Stage's backdrop under another number, its picture with fewer colours."""
    return {**trait, "id": number, "png": binary(fewer_colors(trait["png"]))}


@lru_cache(maxsize=64)
def fewer_colors(png: bytes) -> bytes:
    """The picture with a palette: a third of the bytes."""
    small = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        few = image.convert("RGB").quantize(COLORS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
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
    return {"name": side["name"], "stops": [stop for stop, _ in kept], "places": [place for _, place in kept]}


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
