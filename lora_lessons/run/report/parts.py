"""What a report consists of, as HTML: what failed, what was made, the claims, the lessons,
every record beside its band."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from ...course.claims import CONDITION, CORRECTED, HOLDS, NOT_TESTED, tally
from ...course.records import show_value
from ...outside import visible
from ..baselines import band, inside
from ..result import FAILED, INTERRUPTED, OK, cards, handover, title

if TYPE_CHECKING:
    from ..result import LessonResult

# The class in the style sheet of each verdict's colour; whatever else a card says is in vermilion.
COLOURS = {HOLDS: "holds", CONDITION: "condition", CORRECTED: "corrected", NOT_TESTED: "untested"}


class Part(NamedTuple):
    """A piece of a report: its heading, which may be empty, and HTML."""

    heading: str
    html: str


def parts(results: Sequence[LessonResult], about: Mapping[str, Any]) -> list[Part]:
    """What there is to say of a run, what failed first. Links lead to the executed notebooks beside the report."""
    lessons = [
        {
            "result": result,
            "title": title(result.notebook) or result.lesson,
            "cards": list(cards(result.notebook)),
            "handover": handover(result.notebook),
            "notebook": quote(f"{result.lesson}.ipynb") if result.notebook else "",
            "records": list(record_rows(result)),
        }
        for result in results
    ]
    failed, made, judged = (
        [lesson for lesson in lessons if wanted(lesson)]
        for wanted in (lambda one: is_bad(one["result"]), lambda one: one["handover"], lambda one: one["cards"])
    )
    candidates = [
        Part("What did not go as it should", "".join(map(shown("bad"), failed)) if failed else ""),
        Part("What you have now", shown("made")(made) if made else ""),
        Part("The claims", shown("claims")(*_in_order(judged)) if judged else ""),
        Part("The lessons", shown("table")(lessons, about)),
        Part("What was measured", "".join(shown("records")(one) for one in lessons if one["records"])),
        Part("", shown("stamp")(about)),
    ]
    return [part for part in candidates if part.html]


def _in_order(lessons: Sequence[Mapping[str, Any]]) -> tuple[list[tuple[Any, Any]], list[tuple[int, str]]]:
    """Every card with its lesson, in the order of the claims; and how many there are of each verdict,
    as the site counts them."""
    judged = [(card, lesson) for lesson in lessons for card in lesson["cards"]]
    return sorted(judged, key=lambda one: one[0].id), tally(card.said for card, _ in judged)


def is_bad(result: LessonResult) -> bool:
    """Whether a lesson did something else than it should, or has a note about its records."""
    return result.status != OK or bool(result.deviations)


def outcome(results: Sequence[LessonResult]) -> str:
    """The whole run in a sentence or two."""
    count = Counter(result.status for result in results)
    if count[OK] == len(results):
        held = "measured what was recorded" if any(result.baseline for result in results) else "ran to the end"
        return f"{'All ' if len(results) > 1 else ''}{_notebooks(len(results))} {held}."
    bad = {FAILED: "stopped with an error", INTERRUPTED: "was interrupted"}
    told = [
        f"{r.lesson} {bad.get(r.status, 'measured something else than was recorded')}."
        for r in results
        if r.status != OK
    ]
    return f"{count[OK]} of {_notebooks(len(results))} ran as they should. {' '.join(told)}"


def _notebooks(count: int) -> str:
    return f"{count} notebook{'s' * (count > 1)}"


class Row(NamedTuple):
    """One record beside its band, in words."""

    name: str
    value: str
    unit: str
    band: str
    verdict: str  # "inside", "OUTSIDE" or why it is not judged


def record_rows(result: LessonResult) -> Iterator[Row]:
    """The records of a lesson, each beside what its baseline allows."""
    known = result.baseline["records"] if result.baseline else {}
    for name, record in result.records.items():
        value, entry = show_value(record.value), known.get(name)
        if record.volatile:
            yield Row(name, value, record.unit, "", "depends on the machine")
        elif entry is None:
            yield Row(name, value, record.unit, "", "no baseline")
        else:
            limits = band(entry)
            allowed = " … ".join(map(show_value, limits)) if limits else f"exactly {show_value(entry['expected'])}"
            yield Row(name, value, record.unit, allowed, "inside" if inside(record.value, entry) else "OUTSIDE")


def shown(macro: str) -> Any:
    """A macro of parts.html.j2: called with what it shows, it returns HTML."""
    return getattr(templates().get_template("parts.html.j2").make_module(_NAMES), macro)


_NAMES = {"colour": COLOURS, "gb": lambda n: f"{n / 1e9:.1f} GB"}


@cache
def templates() -> Any:
    """Jinja's environment of the templates beside this file."""
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    def as_text(value: Any) -> Any:
        return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    files = PackageLoader(__package__, "")
    made = Environment(loader=files, autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=as_text)
    made.filters["quoted"] = shlex.quote
    return made


def style() -> str:
    """The style sheet of the parts."""
    return (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
