"""Every setting of a Stage that a page offers, worked out beforehand by the Stage itself:
asked as the page would ask it."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from lora_lessons.course.on_the_web import File, Live, backdrop, thinned, unheld
from lora_lessons.course.stage import Stage, slider

BEFOREHAND = "The lesson's own Python worked this out beforehand, for every value that the controls offer."
IN_JUPYTERLAB = "In JupyterLab it answers other values, too."
FAR = 10**7  # no slider goes so far
Part = dict[str, Any]  # {"scenes": {number: scene}, "backdrops": {number: backdrop}}


def bake_stage(live: Live, stage: Stage) -> tuple[File, list[Part]]:
    """The baked file of a Stage, and the further parts of it that are fetched when they are asked for.

    `answers` in the file holds, for each control but the slider, the values that are there (`held`); for every
    combination of them, the last control's turning fastest, the number of its scene, or -1 - n for sentence n of
    `refused` (`table`); for each scene, the part that it lies in (`homes`). The Stage is left as it was found.
    """
    held = _held(live, stage)
    kitchen = _Kitchen(stage, {**live.values, **held}, live.ends)
    start = dict(stage.values)
    try:
        kitchen.number(start, _home(live, start))  # the first part is the one that the page opens with
        table = [kitchen.number({**start, **setting}, _home(live, setting)) for setting in _settings(held)]
    finally:
        stage.values = start
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
    note = f"{BEFOREHAND} {IN_JUPYTERLAB}" if held else BEFOREHAND
    return {"kind": "stage", "note": note, "state": state, "answers": answers}, kitchen.parts[1:]


class _Kitchen:
    """Asks the Stage for one setting after the other, and keeps each scene and each picture once."""

    def __init__(self, stage: Stage, offered: Mapping[str, Sequence[Any]], ends: bool) -> None:
        self.stage, self.offered, self.ends = stage, offered, ends
        self.parts: list[Part] = []
        self.homes: list[int] = []
        self.refused: list[str] = []
        self._rooms: dict[Hashable, int] = {}
        self._numbers: dict[str, int] = {}
        self._pictures: dict[bytes, int] = {}
        self._no_say: dict[tuple[str, ...], dict[tuple[Any, ...], int]] = {}  # by the controls that have none

    def number(self, values: Mapping[str, Any], room: Hashable) -> int:
        """The number of the scene that answers `values`, or -1 - n where sentence n of `refused` does.

        A scene that nobody has asked for before goes into the part of this `room`.
        """
        for locked, known in self._no_say.items():
            if (number := known.get(_but(locked, values))) is not None:
                return number
        stage = self.stage
        stage.values = dict(values)
        if stage.said:
            if stage.said not in self.refused:
                self.refused.append(stage.said)
            return -1 - self.refused.index(stage.said)
        picture = self._pictures.setdefault(stage.backdrop["png"], len(self._pictures))
        scene = thinned(stage.scene, stage.axis, self.offered, picture)
        if self.ends:
            scene["beyond"] = [one for way in (-1, 1) if (one := _beyond(stage, way))]
        number = self._numbers.setdefault(repr(scene), len(self.homes))
        if number == len(self.homes):
            self._keep(scene, self._rooms.setdefault(room, len(self._rooms)))
        self._no_say.setdefault(tuple(scene["locked"]), {})[_but(scene["locked"], values)] = number
        return number

    def _keep(self, scene: dict[str, Any], home: int) -> None:
        if home == len(self.parts):
            self.parts.append({"scenes": {}, "backdrops": {}})
        part, picture = self.parts[home], scene["backdrop"]
        part["scenes"][len(self.homes)] = scene
        if picture not in part["backdrops"]:
            part["backdrops"][picture] = backdrop(self.stage.backdrop, picture)
        self.homes.append(home)


def _beyond(stage: Stage, way: int) -> dict[str, Any] | None:
    """The last whole number that the slider can be, downwards (-1) or upwards (1),
    and the sentence that refuses others.

    Python's refusal names that number; so it is asked for the numbers that stand in it.
    """

    def refusal(value: int) -> str:
        try:
            stage._compose(**{**stage.values, stage.axis: value})
        except ValueError as error:
            return str(error)
        return ""

    sentence = refusal(way * FAR)
    named = {int(digits.replace(",", "")) for digits in re.findall(r"-?\d[\d,]*", sentence)} - {way * FAR}
    for last in sorted(named, reverse=way > 0):
        if (first := refusal(last + way)) and not refusal(last):
            before, typed, after = first.rpartition(str(last + way))
            return {"way": way, "last": last, "said": [before, after]} if typed else None
    return None


def _but(locked: Sequence[str], values: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values without those of controls that have no say."""
    return tuple(value for name, value in values.items() if name not in locked)


def _held(live: Live, stage: Stage) -> dict[str, list[Any]]:
    """The values of each control but the slider that the page offers, in the controls' order.

    Raises ValueError where a declaration leaves out what the widget starts with,
    or names no values for a box to type in.
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
