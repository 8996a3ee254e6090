"""`python -m workshop record course`: the seconds of every lesson in the newest report,
beside those that were recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lora_lessons.run import runner
from lora_lessons.run.baselines import read_baseline

REPORTS = Path("course-report")


def record(run: bool = False, folder: Path = REPORTS) -> None:
    """Print a row for every lesson and side trip: recorded seconds, those of the newest report, and their ratio.

    run=True runs the whole course first, every training anew, as a recording does. Otherwise no lesson is executed.
    """
    if run:
        runner.run(runner.find_lessons([]), out=folder, fresh=True)
    print("\n".join(in_words(newest(folder))))


def newest(folder: Path) -> dict[str, Any]:
    """The report that was written last, of those in `folder` whose lessons ran with their own parameters.

    Raises FileNotFoundError where there is none.
    """
    files = sorted(folder.rglob("report.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    for report in (json.loads(file.read_text(encoding="utf-8")) for file in files):
        if not report["parameters"]:
            return dict(report)
    raise FileNotFoundError(f"there is no report in {folder}: `lora-lessons run` writes one, and so does --run.")


def in_words(report: dict[str, Any]) -> Iterator[str]:
    """The table."""
    ran = {lesson["lesson"]: lesson for lesson in report["lessons"]}
    yield f"report of {report['date']}: {report['machine']}"
    yield f"{'':<26}{'recorded':>11}{'report':>11}{'ratio':>8}"
    for path in runner.find_lessons([]):
        baseline, now = read_baseline(path.stem, report["profile"]), ran.get(path.stem)
        if baseline and now:
            before, after = baseline["seconds"], now["seconds"]
            yield (
                f"{path.stem:<26}{before:>9.1f} s{after:>9.1f} s{after / before:>8.2f}   {now['status']}, "
                f"{baseline['machine']}"
            )
