"""`lora-lessons bench course`: the seconds of every lesson in the newest report, beside those that were recorded."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..run import runner
from ..run.baselines import read_baseline
from ..run.result import DEVIATES, OK

REPORTS = Path("course-report")


def measure(run: bool = False, folder: Path = REPORTS) -> dict[str, Any]:
    """Print a row for every lesson and side trip: recorded seconds, those of the newest report, and their ratio.

    run=True runs the whole course first, every training anew, as a recording does. Otherwise no lesson is executed.
    """
    if run:
        runner.run(runner.find_lessons([]), out=folder, fresh=True)
    report = newest(folder)
    comparison = compare(report or {})
    print("\n".join(in_words(comparison, folder)))
    return comparison


def newest(folder: Path) -> dict[str, Any] | None:
    """The report that was written last, of those in `folder` whose lessons ran with their own parameters."""
    files = sorted(folder.rglob("report.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    reports = (_report(file) for file in files)
    return next((report for report in reports if report and not report["parameters"]), None)


def _report(file: Path) -> dict[str, Any] | None:
    """A report; None where it is damaged, which is said."""
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        _check(report)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        print(f"{file} is damaged, so it is passed over: run the lessons again.", file=sys.stderr)
        return None
    return report


def _check(report: Any) -> None:
    """Raise ValueError, TypeError or KeyError for what is not as the runner writes a report."""
    for name, kind in (("parameters", dict), ("profile", str), ("machine", str), ("date", str), ("lessons", list)):
        if not isinstance(report[name], kind):
            raise ValueError(name)
    for lesson in report["lessons"]:
        kinds = (
            isinstance(lesson["lesson"], str),
            isinstance(lesson["status"], str),
            type(lesson["seconds"]) in (int, float),
        )
        if not all(kinds):
            raise ValueError("lessons")


def compare(report: dict[str, Any]) -> dict[str, Any]:
    """What the report says of each lesson, beside its baseline: {"recorded_on", "ran_on", "ran", "rows"}."""
    ran = {lesson["lesson"]: lesson for lesson in report.get("lessons", [])}
    rows, machines = [], set()
    for path in runner.find_lessons([]):
        baseline, now = read_baseline(path.stem, report.get("profile", "quick")) or {}, ran.get(path.stem, {})
        row: dict[str, Any] = {"lesson": path.stem, "recorded": baseline.get("seconds")}
        row |= {"seconds": now.get("seconds"), "status": now.get("status"), "ratio": None}
        if baseline and row["status"] in (OK, DEVIATES):
            row["ratio"] = row["seconds"] / row["recorded"]
        machines |= {baseline["machine"]} if baseline else set()
        rows.append(row)
    return {"recorded_on": sorted(machines), "ran_on": report.get("machine"), "ran": report.get("date"), "rows": rows}


def in_words(found: dict[str, Any], folder: Path = REPORTS) -> Iterator[str]:
    """The table, and what to know of it."""
    yield f"recorded on: {'; '.join(found['recorded_on']) or 'nothing is recorded'}"
    if found["ran_on"]:
        yield f"report of {found['ran']}: {found['ran_on']}"
    else:
        yield f"There is no report in {folder}: `lora-lessons run` writes one, and so does `lora-lessons bench course --run`."
    yield f"{'':<26}{'recorded':>11}{'report':>11}{'ratio':>8}"
    for row in found["rows"]:
        failed = f"   {row['status']}" if row["status"] not in (OK, None) else ""
        yield f"{row['lesson']:<26}{_seconds(row['recorded'])}{_seconds(row['seconds'])}{_ratio(row['ratio'])}{failed}"
    if both := [row for row in found["rows"] if row["ratio"]]:
        recorded, now = (sum(row[name] for row in both) for name in ("recorded", "seconds"))
        together = f"{len(both)} of {len(found['rows'])} together"
        yield f"{together:<26}{_seconds(recorded)}{_seconds(now)}{_ratio(now / recorded)}"
        yield "A recording trains everything anew; `lora-lessons run` reuses trainings that finished before, so it may be quicker."


def _seconds(seconds: float | None) -> str:
    return f"{'–':>11}" if seconds is None else f"{seconds:>9.1f} s"


def _ratio(ratio: float | None) -> str:
    return f"{'–':>8}" if ratio is None else f"{ratio:>8.2f}"
