"""Where a number comes from: what its record, its published row, its arithmetic or its code says of it, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ...course import published
from ...course.prose import Quoted, with_names
from ...course.records import Record, Value, show_value
from ..baselines import band, read_baseline, values

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
            lesson, name = _split(quoted.what, stem)
            return Where(page_of(lesson), anchor_of(name), "\n".join(_of_record(lesson, name, measured)))
        case "published":
            return _of_row(quoted.what)
        case "calc":
            return Where(page_of(stem), anchor_of(f"calc-{quoted.what}"), "\n".join(_of_arithmetic(quoted.what, stem)))
    return Where(page_of(stem), anchor_of(f"code-{quoted.what}"), f"It stands so in this lesson's code: {quoted.what}")


def _split(what: str, stem: str) -> tuple[str, str]:
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


def measured_on(lesson: str) -> str:
    """The machine and the date of the run that a lesson's numbers are from."""
    baseline = _baseline(lesson)
    return f"{baseline['machine'].replace('(R)', '')}, {baseline['date']}"


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


def _of_arithmetic(expression: str, stem: str) -> Iterator[str]:
    if not expression.startswith("lesson "):
        yield f"Worked out: {expression}"
    yield from (part_of(name, stem) for name in names_in(expression))


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
        module, _, constant = name.rpartition(".")
        return f"{constant} is set in {module}"
    prefix, _, rest = name.rpartition(":")
    if prefix == "measurements":
        file, _, what = rest.partition(".")
        return f"{what} is recorded in data/measurements/{file}.json"
    if prefix == "published":
        return f"{rest} = {published.as_printed(published.figure(rest))}: {published.about(rest)['source']}"
    lesson, record = _split(name, stem)
    unit = entry_of(lesson, record)["unit"]
    return f"{record} = {with_unit(values(_baseline(lesson))[record], unit)}, recorded by lesson {lesson[:2]}"
