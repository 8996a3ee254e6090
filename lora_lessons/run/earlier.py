"""A folder that holds a report already: one run at a time writes it, and what an earlier run found is not lost."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import Any

from ..course.lesson import side_trips
from ..course.records import Record, fault
from ..files import check_readable
from ..machine import stamp
from .baselines import Deviation, read_baseline
from .notebooks import read_notebook
from .result import CellError, LessonResult

REPORT, PAGE, LOCK = "report.json", "report.html", ".lock"


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """While the block runs, no other run writes to `out`. Raises ValueError where one does; a killed one does no longer."""
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

    A report of another kind is kept beside the new one, under its date, and that is said. Raises OSError for one that this
    user may not read, and for a pipe in its place.
    """
    check_readable(out / REPORT)
    try:
        found = json.loads((out / REPORT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, RecursionError, ValueError):
        found = {}
    now = {"profile": profile, "parameters": _as_kept(parameters), "machine": None, "versions": None}
    now |= {name: value for name, value in stamp().items() if name in now}
    try:
        _check(found, _RUN)
        if all(found[name] == value for name, value in now.items()):
            return [_result(one, out, profile, found["date"]) for one in found["lessons"]]
    except (AttributeError, KeyError, TypeError, ValueError):
        pass  # not a report that we wrote: it is kept, too
    _keep(out, found)
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


def _result(said: Mapping[str, Any], out: Path, profile: str, date: str) -> LessonResult:
    """A lesson's entry in report.json as the result that it was written from, with the notebook beside it.

    Raises KeyError, TypeError or ValueError where it is not such an entry.
    """
    _check(said, _LESSON)
    if Path(said["lesson"]).name != said["lesson"]:
        raise ValueError(f"{said['lesson']} is the name of no notebook")
    if wrong := [why for record in said["records"].values() if (why := fault(record))]:
        raise ValueError(wrong[0])
    result = LessonResult(said["lesson"], said["status"], said["seconds"], said["peak_ram_bytes"], said["cells"])
    result.records = {name: Record(**record) for name, record in said["records"].items()}
    result.deviations = [Deviation(**deviation) for deviation in said["deviations"]]
    result.error = CellError(**said["error"]) if said["error"] else None
    result.kept_from = said.get("date", date)
    if said.get("judged"):
        result.baseline = read_baseline(result.lesson, profile)
    notebook = out / f"{result.lesson}.ipynb"
    result.notebook = read_notebook(notebook) if notebook.is_file() else None
    return result


_NUMBER = (int, float)
_RUN = {"profile": str, "parameters": dict, "machine": str, "versions": dict, "date": str, "seconds": _NUMBER}
_RUN |= {"not_run": list, "lessons": list}
_LESSON = {"lesson": str, "status": str, "seconds": _NUMBER, "peak_ram_bytes": _NUMBER, "cells": int, "records": dict}
_LESSON |= {"deviations": list}


def _check(said: Any, kinds: Mapping[str, Any]) -> None:
    """Raise TypeError where `said` has something else than these kinds of values under these names."""
    if wrong := [name for name, kind in kinds.items() if not isinstance(said[name], kind)]:
        raise TypeError(f"{wrong[0]} is {said[wrong[0]]!r}")


def _keep(out: Path, found: Any) -> None:
    """Rename the report that is there, so that a new one of another kind does not replace it."""
    date = str(found.get("date", "")) if isinstance(found, dict) else ""
    name = f"report-{re.sub('[^0-9A-Za-z]+', '-', date)[:19] or 'damaged'}"
    numbered = chain([name], (f"{name}_{number}" for number in count(2)))
    stem = next(one for one in numbered if not list(out.glob(f"{one}.*")))
    for file in (REPORT, PAGE):
        if (out / file).exists():
            (out / file).rename(out / f"{stem}{Path(file).suffix}")
    why = "was made in another way (profile, parameters, machine or versions)" if date else "could not be read"
    print(
        f"The report that is in {out} {why}: it is kept as {stem}.html and .json. Notebooks that run again are replaced.",
        file=sys.stderr,
    )
