"""The report of a run: report.json for programs, report.html (one file, no network) for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..course.claims import CONDITION, CORRECTED, HOLDS, NOT_TESTED
from ..course.records import show_value
from ..files import write_text
from ..machine import stamp
from .baselines import band, inside
from .result import FAILED, INTERRUPTED, OK
from .shown import answer, cards, figures, handover, title

if TYPE_CHECKING:
    from .result import LessonResult


def write_report(
    results: Sequence[LessonResult],
    out: Path,
    profile: str,
    parameters: Mapping[str, Any],
    planned: Sequence[str],
) -> None:
    """Write report.json and report.html into `out`, each whole or not at all. `planned` are all lessons of the run."""
    ran = {result.lesson for result in results}
    about = {
        "profile": profile,
        "parameters": dict(parameters),
        **stamp(),
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "seconds": round(sum(result.seconds for result in results), 1),
        "not_run": [lesson for lesson in planned if lesson not in ran],
    }
    whole = about | {"lessons": [_as_json(result, about["date"]) for result in results]}
    write_text(out / "report.json", json.dumps(whole, indent=1, ensure_ascii=False, default=str) + "\n")
    write_text(out / "report.html", as_html(results, about))


def _as_json(result: LessonResult, date: str) -> dict[str, Any]:
    return {
        "lesson": result.lesson,
        "status": result.status,
        "date": result.kept_from or date,
        "judged": result.baseline is not None,
        "seconds": round(result.seconds, 2),
        "peak_ram_bytes": result.peak_ram_bytes,
        "cells": result.cells,
        "records": {name: asdict(record) for name, record in result.records.items()},
        "deviations": [deviation._asdict() for deviation in result.deviations],
        "error": result.error._asdict() if result.error else None,
    }


def as_html(results: Sequence[LessonResult], about: Mapping[str, Any]) -> str:
    """The report as one HTML document: everything in it is inline, and everything measured or printed is escaped."""
    from jinja2 import Environment, PackageLoader

    pages = [
        {
            "result": result,
            "records": list(_record_rows(result)),
            "figures": list(figures(result.notebook)),
            "cards": list(cards(result.notebook)),
            "title": title(result.notebook) or result.lesson,
            "answer": answer(result.notebook),
            "handover": handover(result.notebook),
        }
        for result in results
    ]
    files = PackageLoader(__package__, "")
    environment = Environment(loader=files, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("report.html.j2").render(
        about=about, pages=pages, outcome=outcome(results), colour=COLOURS, gb=lambda n: f"{n / 1e9:.1f} GB"
    )


# The class in the page's style sheet of each verdict's colour; whatever else a card says is in vermilion.
COLOURS = {HOLDS: "holds", CONDITION: "condition", CORRECTED: "corrected", NOT_TESTED: "untested"}


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


def _record_rows(result: LessonResult) -> Iterator[Row]:
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
