"""`make test`: the stages of the suite in turn, workers of one thread each; then what each took, and the slowest.

Two processes of one thread do more of these small models' work than one process of two: waiting threads are idle cores.
A browser waits half of its time, so three are at work.
Every lesson is executed once, by papermill, and what that run showed is held against its stored outputs.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "course-report" / "tests"
SITE = REPORTS / "site"  # built by the first stage that reads it
SLOWEST = 20

STAGES: dict[str, tuple[str, ...]] = {
    "units and lessons": ("tests", "--ignore=tests/browser", "-n", "2", "--dist=loadscope", "--no-loadscope-reorder"),
    "browser": ("tests/browser", "-n", "3", "--dist=loadscope", "--no-loadscope-reorder"),
}


def run(stage: str, report: Path) -> tuple[int, float]:
    """Run one stage; its exit status and the seconds that it took."""
    begun = time.perf_counter()
    environment = {"OMP_NUM_THREADS": "1"} | dict(os.environ)
    environment |= {"LORA_LESSONS_REPORT": str(REPORTS / "lessons"), "LORA_LESSONS_SITE": str(SITE)}
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
    """Run the stages named (none: all), each whatever became of the others; print what they took.
    Returns the worst status."""
    if not names:
        shutil.rmtree(REPORTS, ignore_errors=True)
    shutil.rmtree(SITE, ignore_errors=True)
    REPORTS.mkdir(parents=True, exist_ok=True)
    ended, took, every = dict[str, int](), dict[str, float](), list[tuple[float, str]]()
    for stage in names or STAGES:
        report = REPORTS / f"{stage.replace(' ', '_')}.xml"
        report.unlink(missing_ok=True)
        print(f"\n===== {stage} =====", flush=True)
        ended[stage], took[stage] = run(stage, report)
        every += timed(report)
    print(f"\nThe slowest {SLOWEST} tests, in seconds:")
    for seconds, name in sorted(every, reverse=True)[:SLOWEST]:
        print(f"{seconds:8.1f}  {name[:110]}")
    print("\nThe stages, in minutes:")
    for stage, seconds in [*took.items(), ("in all", sum(took.values()))]:
        print(f"{seconds / 60:8.1f}  {stage}")
    failed = [stage for stage, status in ended.items() if status]
    print(f"FAILED: {', '.join(failed)}." if failed else "All passed.", flush=True)
    return max(map(abs, ended.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
