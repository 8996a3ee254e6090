"""report.json and report.html, written after every lesson: what a program reads, and one file that can be mailed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...files import write_text
from ...machine import stamp
from ..result import handover
from .parts import outcome, parts, style, templates

if TYPE_CHECKING:
    from ..result import LessonResult


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
        "handed_over": handover(result.notebook),
    }


def as_html(results: Sequence[LessonResult], about: Mapping[str, Any]) -> str:
    """The report as one HTML document: nothing is loaded, and it links to the notebooks beside it."""
    page = templates().get_template("report.html.j2")
    return page.render(style=style(), outcome=outcome(results), parts=parts(results, about))
