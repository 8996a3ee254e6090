"""What became of a lesson that was run: its records, what deviates, where it failed, and what its notebook shows.

One run at a time writes a folder, and what an earlier run found there is not lost.
"""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..course.claims import Card, read_card
from ..course.lesson import MIME as HANDOVER
from ..course.lesson import side_trips
from ..course.records import Record, fault
from ..drawing import IN_WORDS
from ..files import check_readable
from ..machine import stamp
from .baselines import Deviation, read_baseline
from .notebooks import read_notebook

if TYPE_CHECKING:
    from nbformat import NotebookNode


OK, FAILED, DEVIATES, INTERRUPTED = "ok", "failed", "deviates", "interrupted"


class CellError(NamedTuple):
    """Where and how a lesson failed. `cell` counts from 1 in the notebook as the learner sees it; 0 where none ran."""

    cell: int
    first_line: str
    name: str
    message: str
    traceback: str = ""

    def __str__(self) -> str:
        where = f"cell {self.cell} ({self.first_line})" if self.cell else "before its first cell"
        return f"{where}: {self.name}: {self.message}"


@dataclass
class LessonResult:
    """What became of one lesson."""

    lesson: str  # the notebook's stem
    status: str  # OK, FAILED, DEVIATES or INTERRUPTED
    seconds: float
    peak_ram_bytes: int  # the largest resident size seen of the kernel and its children
    cells: int  # code cells in the lesson
    records: dict[str, Record] = field(default_factory=dict)
    deviations: list[Deviation] = field(default_factory=list)
    baseline: dict[str, Any] | None = None  # what the records were held against
    error: CellError | None = None
    notebook: NotebookNode | None = field(default=None, repr=False)  # as executed
    kept_from: str = ""  # the date of the earlier run that it was taken over from, if it was

    def __str__(self) -> str:
        took = f"{self.seconds:.1f} s, peak {self.peak_ram_bytes / 1e9:.2f} GB, {len(self.records)} records"
        lines = [f"{self.lesson}: {self.status} ({took})"]
        lines += [f"  {self.error}"] * (self.error is not None)
        lines += [f"  {'note: ' * d.warning}{d.sentence}" for d in self.deviations]
        lines += [f"  {line}" for line in handover(self.notebook)]
        return "\n".join(lines)


_ANSWER = re.compile(r"^#{2,3} [^\n]*\bthe answer\b[^\n]*\n(?P<text>.*?)(?=^#|<details|\Z)", re.I | re.M | re.S)


def title(notebook: NotebookNode | None) -> str:
    """The first heading, such as "03 · Can B·A do what full fine-tuning does?"."""
    match = re.search(r"^# (.+)$", _prose(notebook), re.M)
    return plain(match[1]) if match else ""


def answer(notebook: NotebookNode | None) -> str:
    """The paragraph under the heading "The answer"; empty where there is none."""
    match = _ANSWER.search(_prose(notebook))
    return plain(match["text"]) if match else ""


def _prose(notebook: NotebookNode | None) -> str:
    return "\n\n".join(c.source for c in (notebook.cells if notebook else []) if c.cell_type == "markdown")


def plain(markdown: str) -> str:
    """Markdown as one line of words: without comments, tags, links, emphasis and the marks of formulas."""
    text = re.sub(r"<!--.*?-->|<[^>]+>", "", markdown, flags=re.S)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\*\*|`|\$|(?<!\w)[*_](?=\w)|(?<=[\w.!?,;:])[*_](?!\w)", "", text)
    return " ".join(html.unescape(text).split())


class Picture(NamedTuple):
    """A figure: base64 of a PNG, and its summary in words."""

    png: str
    words: str


def figures(notebook: NotebookNode | None) -> Iterator[Picture]:
    """The PNG outputs of an executed notebook with the text summary that follows each."""
    for data in _displayed(notebook):
        if "image/png" in data:
            after = data["following"].get("text/markdown", "")
            summary = _joined(after).removeprefix(IN_WORDS).strip() if IN_WORDS in _joined(after) else ""
            yield Picture(re.sub(r"[^A-Za-z0-9+/=]", "", _joined(data["image/png"])), summary)


def cards(notebook: NotebookNode | None) -> Iterator[Card]:
    """The verdict cards of an executed notebook."""
    for data in _displayed(notebook):
        card = read_card(_joined(data.get("text/html", "")))
        if card is not None:
            yield card


def handover(notebook: NotebookNode | None) -> list[str]:
    """The lines that an executed notebook hands over: what it made for the learner, and where that is kept."""
    return [line for data in _displayed(notebook) for line in data.get(HANDOVER, [])]


def _displayed(notebook: NotebookNode | None) -> Iterator[dict[str, Any]]:
    """The MIME bundles shown, each with the next one of its cell as `following`."""
    for cell in notebook.cells if notebook else []:
        shown = [output.get("data", {}) for output in cell.get("outputs", [])]
        for bundle, following in zip(shown, [*shown[1:], {}], strict=False):
            yield {**bundle, "following": following}


def _joined(text: str | list[str]) -> str:
    return "".join(text)


REPORT, PAGE, LOCK = "report.json", "report.html", ".lock"


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """While the block runs, no other run writes to `out`. Raises ValueError where one does;
    a killed one does no longer."""
    from filelock import FileLock, Timeout

    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(
            f"another run is writing its report to {out}: wait until it ends, or choose another folder with --out."
        ) from None
    try:
        yield
    finally:
        lock.release()


def earlier_results(out: Path, profile: str, parameters: Mapping[str, Any]) -> list[LessonResult]:
    """What the report in `out` says of lessons that ran before in the same way, here, with the same libraries.

    A report of another kind is kept beside the new one, under its date, and that is said. Raises OSError for one that
    this user may not read, and for a pipe in its place.
    """
    check_readable(out / REPORT)
    try:
        report = json.loads((out / REPORT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, RecursionError, ValueError):
        report = {}
    now = {"profile": profile, "parameters": _as_kept(parameters), "machine": None, "versions": None}
    now |= {name: value for name, value in stamp().items() if name in now}
    try:
        _check(report, _RUN)
        if all(report[name] == value for name, value in now.items()):
            return [_result(one, out, profile, report["date"]) for one in report["lessons"]]
    except (AttributeError, KeyError, TypeError, ValueError):
        pass  # not a report that we wrote: it is kept, too
    _keep(out, report)
    return []


def together(earlier: Sequence[LessonResult], now: Sequence[LessonResult]) -> list[LessonResult]:
    """The results of a run after those of an earlier one: a lesson that ran again has its new result alone."""
    if not earlier:
        return list(now)
    trips = {path.stem for path in side_trips()}
    every = {result.lesson: result for result in [*earlier, *now]}
    return sorted(every.values(), key=lambda result: (result.lesson in trips, result.lesson))


def _as_kept(parameters: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(dict(parameters), default=str))


def _result(entry: Mapping[str, Any], out: Path, profile: str, date: str) -> LessonResult:
    """A lesson's entry in report.json as the result that it was written from, with the notebook beside it.

    Raises KeyError, TypeError or ValueError where it is not such an entry.
    """
    _check(entry, _LESSON)
    if Path(entry["lesson"]).name != entry["lesson"]:
        raise ValueError(f"{entry['lesson']} is the name of no notebook")
    if wrong := [why for record in entry["records"].values() if (why := fault(record))]:
        raise ValueError(wrong[0])
    result = LessonResult(entry["lesson"], entry["status"], entry["seconds"], entry["peak_ram_bytes"], entry["cells"])
    result.records = {name: Record(**record) for name, record in entry["records"].items()}
    result.deviations = [Deviation(**deviation) for deviation in entry["deviations"]]
    result.error = CellError(**entry["error"]) if entry["error"] else None
    result.kept_from = entry.get("date", date)
    if entry.get("judged"):
        result.baseline = read_baseline(result.lesson, profile)
    notebook = out / f"{result.lesson}.ipynb"
    result.notebook = read_notebook(notebook) if notebook.is_file() else None
    return result


_NUMBER = (int, float)
_RUN = {"profile": str, "parameters": dict, "machine": str, "versions": dict, "date": str, "seconds": _NUMBER}
_RUN |= {"not_run": list, "lessons": list}
_LESSON = {"lesson": str, "status": str, "seconds": _NUMBER, "peak_ram_bytes": _NUMBER, "cells": int, "records": dict}
_LESSON |= {"deviations": list}


def _check(entry: Any, kinds: Mapping[str, Any]) -> None:
    """Raise TypeError where `entry` has something else than these kinds of values under these names."""
    if wrong := [name for name, kind in kinds.items() if not isinstance(entry[name], kind)]:
        raise TypeError(f"{wrong[0]} is {entry[wrong[0]]!r}")


def _keep(out: Path, report: Any) -> None:
    """Rename the report that is there, so that a new one of another kind does not replace it."""
    date = str(report.get("date", "")) if isinstance(report, dict) else ""
    name = f"report-{re.sub('[^0-9A-Za-z]+', '-', date)[:19] or 'damaged'}"
    numbered = chain([name], (f"{name}_{number}" for number in count(2)))
    stem = next(one for one in numbered if not list(out.glob(f"{one}.*")))
    for file in (REPORT, PAGE):
        if (out / file).exists():
            (out / file).rename(out / f"{stem}{Path(file).suffix}")
    why = "was made in another way (profile, parameters, machine or versions)" if date else "could not be read"
    print(
        (
            f"The report that is in {out} {why}: it is kept as {stem}.html and .json. "
            "Notebooks that run again are replaced."
        ),
        file=sys.stderr,
    )
