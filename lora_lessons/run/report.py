"""The report of a run: report.json for programs, report.html (one file, no network) for people."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..course.records import show_value
from ..files import write_text
from ..machine import stamp
from .baselines import band, inside

if TYPE_CHECKING:
    from nbformat import NotebookNode

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
    whole = about | {"lessons": [_as_json(result) for result in results]}
    write_text(out / "report.json", json.dumps(whole, indent=1, ensure_ascii=False, default=str) + "\n")
    write_text(out / "report.html", as_html(results, about))


def _as_json(result: LessonResult) -> dict[str, Any]:
    return {
        "lesson": result.lesson,
        "status": result.status,
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
            "verdicts": list(verdicts(result.notebook)),
        }
        for result in results
    ]
    files = PackageLoader(__package__, "")
    environment = Environment(loader=files, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("report.html.j2").render(about=about, pages=pages, gb=lambda n: f"{n / 1e9:.2f} GB")


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


class Picture(NamedTuple):
    """A figure: base64 of a PNG, and its summary in words."""

    png: str
    words: str


def figures(notebook: NotebookNode | None) -> Iterator[Picture]:
    """The PNG outputs of an executed notebook with the text summary that follows each."""
    for data in _displayed(notebook):
        if "image/png" in data:
            after = data["following"].get("text/markdown", "")
            summary = _joined(after).removeprefix("*In words:*").strip() if "*In words:*" in _joined(after) else ""
            yield Picture(re.sub(r"[^A-Za-z0-9+/=]", "", _joined(data["image/png"])), summary)


def verdicts(notebook: NotebookNode | None) -> Iterator[str]:
    """The text of the verdict cards of an executed notebook, without their markup."""
    for data in _displayed(notebook):
        card = _joined(data.get("text/html", ""))
        if "Verdict:" in card:
            yield " ".join(html.unescape(re.sub(r"<[^>]*>", " ", card.replace("<br>", " · "))).split())


def _displayed(notebook: NotebookNode | None) -> Iterator[dict[str, Any]]:
    """The MIME bundles shown, each with the next one of its cell as `following`."""
    for cell in notebook.cells if notebook else []:
        shown = [output.get("data", {}) for output in cell.get("outputs", [])]
        for bundle, following in zip(shown, [*shown[1:], {}], strict=False):
            yield {**bundle, "following": following}


def _joined(text: str | list[str]) -> str:
    return "".join(text)
