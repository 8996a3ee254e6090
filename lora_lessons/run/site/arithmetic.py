"""What a number was worked out from: an arithmetic with the values in it, and what each of them is, in words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...course import published
from ...course.prose import Quoted, with_names
from ...course.records import Value, show_value
from ...paths import measurements
from ..baselines import read_baseline, values

_ROOM = re.compile(r"lora_lessons\.lessons\.l(\d\d)_")


def split(what: str, stem: str) -> tuple[str, str]:
    """The lesson and the name of a record; one without a lesson is of `stem`."""
    lesson, _, name = what.rpartition(":")
    return lesson or stem, name


def _baseline(lesson: str) -> Mapping[str, Any]:
    found = read_baseline(lesson)
    if found is None:
        raise KeyError(f"{lesson} has no baseline: record it with `lora-lessons run {lesson[:2]} --update-baselines`.")
    return found


def entry_of(lesson: str, name: str) -> dict[str, Any]:
    """What a lesson's baseline says of one record. Raises KeyError where it has none of that name."""
    baseline = _baseline(lesson)
    entries = baseline["records"] | baseline.get("volatile", {})
    if name not in entries:
        raise KeyError(f"{lesson} records no {name}.")
    return entries[name]


def with_unit(value: Value, unit: str) -> str:
    return f"{show_value(value)} {unit}".strip()


def measured_on(lesson: str) -> str:
    """The machine and the date of the run that a lesson's numbers are from."""
    baseline = _baseline(lesson)
    return f"{baseline['machine'].replace('(R)', '')}, {baseline['date']}"


def of_arithmetic(expression: str, stem: str) -> Iterator[str]:
    """What a reader is told of a number that was worked out, in lines of plain text."""
    names = names_in(expression)
    if names != [expression]:
        yield f"Worked out: {readable(expression, lambda name: value_of(name, stem))}"
    yield from (part_of(name, stem) for name in names)


def readable(expression: str, show: Callable[[str], str]) -> str:
    """An arithmetic as people write one, each of its names as `show` has it."""
    signs = {"**": "^", "*": "×", "-": "−"}
    kept: list[str] = []

    def keep(name: str) -> str:
        kept.append(show(name))
        return f"\0{len(kept) - 1}\0"

    text = re.sub(r"\b1e(\d+)\b", lambda ten: f"{10 ** int(ten[1]):,}", with_names(expression, keep))
    text = re.sub(r"\*\*|\*|-", lambda sign: signs[sign[0]], text)
    return re.sub("\0(\\d+)\0", lambda at: kept[int(at[1])], text)


def value_of(name: str, stem: str) -> str:
    """What a name in an arithmetic stands for, as it is read."""
    if name.startswith("lesson "):
        return {"lesson minutes": "the minutes that the run took"}.get(name, "the disk that the lesson needs")
    if name.startswith("lora_lessons."):  # lessons stand above this room: it asks no code of theirs
        return _words(name.rpartition(".")[2])
    prefix, _, rest = name.rpartition(":")
    if prefix == "measurements":
        return show_value(_measurement(rest))
    if prefix == "published":
        return published.as_printed(published.figure(rest))
    lesson, record = split(name, stem)
    return show_value(values(_baseline(lesson))[record])


def _measurement(what: str) -> Value:
    """A number in a recorded file: "training_speed.steps"."""
    file, *path = what.split(".")
    found = json.loads((measurements() / f"{file}.json").read_text(encoding="utf-8"))
    for part in path:
        found = found[part]
    return found


def _words(name: str) -> str:
    return f"“{name.lower().replace('_', ' ')}”"


def tells(quoted: Quoted) -> bool:
    """Whether there is more to say of a number than one operation on two plain numbers, such as 9/10, would."""
    plain = quoted.kind == "calc" and not names_in(quoted.what)
    return not plain or len(re.findall(r"(?<![\w.])\d[\w.]*", quoted.what)) > 2


def names_in(expression: str) -> list[str]:
    """The names in an arithmetic, each once."""
    found: list[str] = []
    with_names(expression, lambda name: found.append(name) or name)  # type: ignore[func-returns-value]
    return list(dict.fromkeys(found))


def part_of(name: str, stem: str) -> str:
    """One name in an arithmetic, and what it stands for, in words."""
    if name == "lesson minutes":
        return f"The recorded run took {_baseline(stem)['seconds']:.0f} seconds ({measured_on(stem)}), here in whole minutes."
    if name == "lesson disk":
        return "The course's syllabus says how many gigabytes of disk this lesson needs."
    if name.startswith("lora_lessons."):
        room = _ROOM.match(name)
        owner = f"the code of lesson {room[1]}" if room else "the course’s code"
        return f"{value_of(name, stem)} is a number set in {owner}."
    prefix, _, rest = name.rpartition(":")
    if prefix == "measurements":
        file, _, what = rest.partition(".")
        return f"{value_of(name, stem)} is {_words(what)} in the recorded experiment {_words(file)}."
    if prefix == "published":
        return f"{rest} = {published.as_printed(published.figure(rest))}: {published.about(rest)['source']}"
    lesson, record = split(name, stem)
    unit = entry_of(lesson, record)["unit"]
    return f"{record} = {with_unit(values(_baseline(lesson))[record], unit)}, recorded by lesson {lesson[:2]}"
