"""Where a number comes from: what its record, its published row, its arithmetic or its code says of it, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ...course import published
from ...course.prose import Quoted
from ...course.records import Record, show_value
from ..baselines import band
from .arithmetic import entry_of, measured_on, of_arithmetic, split, with_unit

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
