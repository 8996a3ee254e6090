"""Where a number comes from: its record, its published row, its arithmetic with the values in it, or its code, in words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from lora_lessons.course import published
from lora_lessons.course.prose import Quoted, with_names
from lora_lessons.course.records import Record, Value, show_value
from lora_lessons.paths import measurements
from lora_lessons.run.baselines import band, read_baseline, values

PUBLISHED = "numbers/published"  # the page of what others published
EXACTLY = "exactly"


class Where(NamedTuple):
    """The place that tells of a number, and what a reader is told beside the number, in lines of plain text."""

    page: str
    anchor: str
    hint: str

    def href(self, up: str) -> str:
        """The address from a page that is `up` ("../") below the site's root."""
        return f"{up}{self.page}.html#{self.anchor}"


def page_of(stem: str) -> str:
    """The page that tells of a lesson's numbers."""
    return f"numbers/{stem.rpartition('/')[2]}"


def anchor_of(what: str) -> str:
    """`what` as the name of a place on a page: without spaces, quotes and brackets."""
    return re.sub(r"[^\w.:()*+/=-]+", "", what)


# What a run measured: the records by name, by the stem of the lesson.
Measured = Mapping[str, Mapping[str, Record]]


def where(quoted: Quoted, stem: str, measured: Measured | None = None) -> Where:
    """Where a number quoted in the prose of `stem` comes from; with `measured`, also what that run found in its place.

    Raises KeyError for a record or a row that there is not.
    """
    stem = stem.rpartition("/")[2]
    match quoted.kind:
        case "record":
            lesson, name = split(quoted.what, stem)
            return Where(page_of(lesson), anchor_of(name), "\n".join(_of_record(lesson, name, measured)))
        case "published":
            return _of_row(quoted.what)
        case "calc":
            return Where(page_of(stem), anchor_of(f"calc-{quoted.what}"), "\n".join(of_arithmetic(quoted.what, stem)))
    return Where(page_of(stem), anchor_of(f"code-{quoted.what}"), f"It stands so in this lesson's code: {quoted.what}")


def _of_record(lesson: str, name: str, measured: Measured | None) -> Iterator[str]:
    entry = entry_of(lesson, name)
    yield f"{name}: {with_unit(entry['expected' if 'seeds' in entry else 'value'], entry['unit'])}"
    yield f"Recorded by lesson {lesson[:2]} ({measured_on(lesson)})."
    if "seeds" in entry:
        exactly = allowed(entry).startswith(EXACTLY)
        yield seeds(entry)
        yield f"The course’s tests allow {'nothing else' if exactly else allowed(entry)}."
    else:
        yield "It depends on the machine, so another machine measures something else."
    if measured is not None:
        yield f"This run: {of_the_run(measured, lesson, name)}."


def of_the_run(measured: Measured, lesson: str, name: str) -> str:
    """What the run found for a record, in words."""
    found = measured.get(lesson, {}).get(name)
    return with_unit(found.value, found.unit) if found else "not measured"


def seeds(entry: Mapping[str, Any]) -> str:
    """What the runs over several seeds gave, in a sentence."""
    shown = [show_value(value) for value in entry["seeds"]]
    numbers = _series(list(map(str, range(len(shown)))))
    other = list(dict.fromkeys(map(show_value, entry.get("elsewhere", ()))))
    beside = f" A second machine gave {_series(other)}." if other else ""
    if len(shown) == 1:
        return f"The lesson was run with one seed.{beside}"
    if len(set(shown)) == 1:
        return f"Seeds {numbers} gave the same.{beside}"
    return f"Seeds {numbers} gave {_series(shown)}.{beside}"


def allowed(entry: Mapping[str, Any]) -> str:
    """What the course's tests let another run measure: "0.1 to 0.3", or "exactly 3"."""
    limits = [show_value(round(limit, 8) or 0) for limit in band(entry) or ()]
    return " to ".join(limits) if len(set(limits)) > 1 else f"{EXACTLY} {show_value(entry['expected'])}"


def _series(words: list[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def row_of(what: str) -> str:
    """The row of published figures that `what` names, whole where it names one end of a range."""
    whole, _, end = what.rpartition(".")
    return whole if end in ("low", "high") and what not in published.figures() else what


def _of_row(what: str) -> Where:
    published.figure(what)
    whole = row_of(what)
    about = published.about(whole)
    lines = ["Not measured in this course.", f"Source: {about['source']}.", about.get("url", "")]
    return Where(PUBLISHED, anchor_of(whole), "\n".join(filter(None, lines)))


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
