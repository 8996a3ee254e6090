"""Every setting of a Stage that a page offers, worked out beforehand by the Stage itself: asked as the page would ask it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from ...course.baked import File, backdrop, thinned, unheld
from ...course.on_the_web import Live
from ...course.stage import Stage, slider

IN_JUPYTERLAB = "In JupyterLab you can type any value."
Part = dict[str, Any]  # {"scenes": {number: scene}, "backdrops": {number: backdrop}}


def bake_stage(live: Live, stage: Stage) -> tuple[File, list[Part]]:
    """The baked file of a Stage, and the further parts of it that are fetched when they are asked for.

    `answers` in the file holds, for each control but the slider, the values that are there (`held`); for every
    combination of them, the last control's turning fastest, the number of its scene, or -1 - n for sentence n of
    `refused` (`table`); for each scene, the part that it lies in (`homes`).
    """
    held = _held(live, stage)
    kitchen = _Kitchen(stage, {**live.values, **held})
    start, opening = dict(stage.values), _home(live, stage.values)
    rooms = {opening: 0}
    table = []
    for setting in _settings(held):
        room = rooms.setdefault(_home(live, setting), len(rooms))
        table.append(kitchen.number({**setting, stage.axis: start[stage.axis]}, room))
    controls = [_narrowed(control, stage.axis, held) for control in stage.controls]
    labels = {control["name"]: control["label"] for control in controls}
    longest = max((scene["stops"] for part in kitchen.parts for scene in part["scenes"].values()), key=len)
    state = {"controls": controls, "axis": stage.axis, "values": start, "answered": start, "said": ""}
    answers = {
        "held": held,
        "unheld": {name: unheld(labels[name], values) for name, values in {**held, stage.axis: longest}.items()},
        "table": table,
        "homes": kitchen.homes,
        "refused": kitchen.refused,
        "parts": kitchen.parts[:1],
    }
    settings, stops = len(kitchen.homes), len(longest)
    many = f"{settings:,} settings with up to {stops} stops each" if settings > 1 else f"{stops} stops"
    note = f"Live without Python: {many}, worked out beforehand. {IN_JUPYTERLAB}"
    return {"kind": "stage", "note": note, "state": state, "answers": answers}, kitchen.parts[1:]


class _Kitchen:
    """Asks the Stage for one setting after the other, and keeps each scene and each picture once."""

    def __init__(self, stage: Stage, offered: Mapping[str, Sequence[Any]]) -> None:
        self.stage, self.offered = stage, offered
        self.parts: list[Part] = []
        self.homes: list[int] = []
        self.refused: list[str] = []
        self._numbers: dict[tuple[int, str], int] = {}
        self._pictures: dict[bytes, int] = {}

    def number(self, values: Mapping[str, Any], room: int) -> int:
        """The number of the scene that answers `values`, or -1 - n where sentence n of `refused` does."""
        stage = self.stage
        stage.values = dict(values)
        if stage.said:
            if stage.said not in self.refused:
                self.refused.append(stage.said)
            return -1 - self.refused.index(stage.said)
        while len(self.parts) <= room:
            self.parts.append({"scenes": {}, "backdrops": {}})
        picture = self._pictures.setdefault(stage.backdrop["png"], len(self._pictures))
        scene = thinned(stage.scene, stage.axis, self.offered, picture)
        number = self._numbers.setdefault((room, repr(scene)), len(self.homes))
        if number == len(self.homes):
            self.homes.append(room)
            self.parts[room]["scenes"][number] = scene
            if picture not in self.parts[room]["backdrops"]:
                self.parts[room]["backdrops"][picture] = backdrop(stage.backdrop, picture)
        return number


def _held(live: Live, stage: Stage) -> dict[str, list[Any]]:
    """The values of each control but the slider that the page offers, in the controls' order.

    Raises ValueError where a declaration leaves out what the widget starts with, or names no values for a box to type in.
    """
    held = {}
    for control in stage.controls:
        name, all_of_them = control["name"], control.get("options") or control.get("stops") or []
        values = list(live.values.get(name, all_of_them))
        if stage.values[name] not in values and not (name == stage.axis and not values):
            raise ValueError(
                f"{live.name}: it starts with {name} = {stage.values[name]!r}, so live(…) must offer that, too."
            )
        if name != stage.axis:
            held[name] = values
    return held


def _settings(held: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    return (dict(zip(held, values, strict=True)) for values in product(*held.values()))


def _home(live: Live, values: Mapping[str, Any]) -> tuple[Hashable, ...]:
    return tuple(values[name] for name in live.apart)


def _narrowed(control: Mapping[str, Any], axis: str, held: Mapping[str, list[Any]]) -> dict[str, Any]:
    """A control that offers what is there: a list its options, a box to type in becomes a slider."""
    name = control["name"]
    if control["kind"] == "choice":
        return {**control, "options": held[name]}
    return slider(name, control["label"], [] if name == axis else held[name])
