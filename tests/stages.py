"""`make test`: the stages of the suite in turn, workers of one thread each, and the slowest tests of each; then what
each stage took.

Two processes of one thread do more of these small models' work than one process of two: waiting threads are idle cores.
A browser waits half of its time, so three are at work.
Every lesson is executed once, by papermill; nbval compares its stored outputs with what that run showed.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import replay

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "course-report" / "tests"
SITE = REPORTS / "site"  # built by the first stage that reads it
TWO = ("-n", "2")
NBVAL = ("--nbval", "-p", "nbval_compares", "--nbval-kernel-name=replay", "-p", "no:cacheprovider")
LESSONS = [
    str(path)
    for folder in (ROOT / "notebooks", ROOT / "notebooks" / "deeper")
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))
]

STAGES: dict[str, tuple[str, ...]] = {
    "units and lessons": ("tests", "--ignore=tests/browser", *TWO, "--dist=loadscope", "--no-loadscope-reorder"),
    "stored outputs": (*NBVAL, *TWO, "--dist=loadfile", *LESSONS),
    "browser": ("tests/browser", "-n", "3", "--dist=loadscope", "--no-loadscope-reorder"),
}


class Took(NamedTuple):
    """What a stage took: by the clock, and of the processor, which does not depend on what else the machine did."""

    seconds: float
    processor: float


def run(stage: str, report: Path) -> tuple[int, Took]:
    """Run one stage; its exit status and what it took."""
    begun = time.perf_counter(), _processor()
    environment = {"OMP_NUM_THREADS": "1"} | dict(os.environ)
    environment |= {replay.RAN: str(REPORTS / "lessons"), "LORA_LESSONS_SITE": str(SITE)}
    if stage == "stored outputs":
        environment |= replay.install(REPORTS / "jupyter") | {"PYTHONPATH": replay.with_tests()}
    command = [sys.executable, "-m", "pytest", f"--junitxml={report}", "--durations=20", *STAGES[stage]]
    done = subprocess.run(command, cwd=ROOT, env=environment)
    return done.returncode, Took(time.perf_counter() - begun[0], _processor() - begun[1])


def _processor() -> float:
    """Seconds of processor time of every process that this one started and that has ended."""
    times = os.times()
    return times.children_user + times.children_system


def main(names: list[str]) -> int:
    """Run the stages named (none: all), each whatever became of the others; print what they took.
    Returns the worst status."""
    if not names:
        shutil.rmtree(REPORTS, ignore_errors=True)
    shutil.rmtree(SITE, ignore_errors=True)
    REPORTS.mkdir(parents=True, exist_ok=True)
    ended, took = dict[str, int](), dict[str, Took]()
    for stage in names or STAGES:
        report = REPORTS / f"{stage.replace(' ', '_')}.xml"
        report.unlink(missing_ok=True)
        print(f"\n===== {stage} =====", flush=True)
        ended[stage], took[stage] = run(stage, report)
    whole = Took(*map(sum, zip(*took.values(), strict=True)))
    print("\nThe stages, in minutes (in brackets: of the processor):")
    for stage, (seconds, processor) in [*took.items(), ("in all", whole)]:
        print(f"{seconds / 60:8.1f}  ({processor / 60:.1f})  {stage}")
    failed = [stage for stage, status in ended.items() if status]
    print(f"FAILED: {', '.join(failed)}." if failed else "All passed.", flush=True)
    return max(map(abs, ended.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
