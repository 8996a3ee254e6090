"""`make test`: the stages of the suite in turn, two workers of one thread each; then what each took, and the slowest.

Two processes of one thread do more of these small models' work than one process of two: waiting threads are idle cores.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "course-report" / "tests"
SLOWEST = 20
TWO = ("-n", "2")
NBVAL = ("--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=900", "-p", "no:cacheprovider")
LESSONS = sorted(map(str, (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")))

STAGES: dict[str, tuple[str, ...]] = {
    "units and lessons": ("tests", "--ignore=tests/browser", *TWO, "--dist=loadgroup", "--no-loadscope-reorder"),
    "stored outputs": (*NBVAL, *TWO, "--dist=loadfile", *LESSONS),
    "browser": ("tests/browser", *TWO, "--dist=loadgroup", "--no-loadscope-reorder"),
}


def run(stage: str, report: Path) -> tuple[int, float]:
    """Run one stage; its exit status and seconds."""
    begun = time.perf_counter()
    progress = {"LORA_LESSONS_PROGRESS": str(REPORTS / "progress.json")} if stage == "stored outputs" else {}
    environment = {"OMP_NUM_THREADS": "1"} | dict(os.environ) | progress
    command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *STAGES[stage]]
    done = subprocess.run(command, cwd=ROOT, env=environment)
    return done.returncode, time.perf_counter() - begun


def timed(report: Path) -> list[tuple[float, str]]:
    """Seconds and name of every test in a JUnit report."""
    if not report.is_file():
        return []
    cases = ElementTree.parse(report).iter("testcase")
    return [(float(case.get("time", 0)), f"{case.get('classname')}::{case.get('name')}") for case in cases]


def main(names: list[str]) -> int:
    """Run the stages named (none: all) until one fails; print what they took. Returns the failed one's status."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    status, took, every = 0, {}, []
    for stage in names or STAGES:
        report = REPORTS / f"{stage.replace(' ', '_')}.xml"
        report.unlink(missing_ok=True)
        print(f"\n===== {stage} =====", flush=True)
        status, took[stage] = run(stage, report)
        every += timed(report)
        if status:
            break
    print(f"\nThe slowest {SLOWEST} tests, in seconds:")
    for seconds, name in sorted(every, reverse=True)[:SLOWEST]:
        print(f"{seconds:8.1f}  {name[:110]}")
    print("\nThe stages, in minutes:")
    for stage, seconds in took.items():
        print(f"{seconds / 60:8.1f}  {stage}")
    print(f"{sum(took.values()) / 60:8.1f}  in all{'' if not status else ', and the last one FAILED'}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
