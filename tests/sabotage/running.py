"""Sabotage: a copy of the course in which one thing is wrong, and the named tests, which must turn red in it.

`cd tests && python -m sabotage.running` tries every sabotage of sabotages.py and keeps what it found as a recording:
data/measurements/sabotages.json. `--only WORD` tries a few and keeps nothing; `--new` tries those that the recording
lacks, or that were not noticed, and adds them to it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sabotage.sabotages import SABOTAGES, Sabotage

ROOT = Path(__file__).resolve().parents[2]
# Files above this many bytes are linked into the copy: the shipped adapters.
LARGE = 1_000_000
# Seconds of the processor in which a sabotage must be found.
AT_MOST = 60


class Ran(NamedTuple):
    """What pytest did: its exit status, what it took, and the first test that failed."""

    status: int
    seconds: float
    # of the processor: it does not depend on what else the machine does
    processor: float
    # the test's name; "" where none failed
    failed: str
    said: str

    @property
    def red(self) -> bool:
        """A test failed. A module that cannot be imported, or a test that is not there, is no finding."""
        return self.status == 1 and bool(self.failed)

    @property
    def skipped(self) -> bool:
        """No test ran: what they need is not here."""
        return self.status == 0 and bool(re.search(r"^\d+ skipped", self.said, re.M))


def copy_course(to: Path) -> Path:
    """The files of the course, as they stand in the working tree, in the folder `to`; returns it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, to / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source) if source.stat().st_size > LARGE else shutil.copy2(source, target)
    return to


@contextmanager
def sabotaged(course: Path, sabotage: Sabotage) -> Iterator[None]:
    """While the block runs, the copy `course` is sabotaged. Raises ValueError unless the old text stands there once."""
    file = course / sabotage.file
    whole = file.read_bytes()
    if (times := whole.count(sabotage.old.encode())) != 1:
        raise ValueError(f"{sabotage.file} holds {sabotage.old!r} {times} times: bring {sabotage.what!r} up to date.")
    file.write_bytes(whole.replace(sabotage.old.encode(), sabotage.new.encode()))
    try:
        yield
    finally:
        file.write_bytes(whole)


def run(course: Path, tests: tuple[str, ...]) -> Ran:
    """pytest over `tests` in the copy `course`, until one fails."""
    begun = time.perf_counter(), _processor()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "LORA_LESSONS_ROOT"))}
    # no compiled files: two texts of one length within a second would be taken for the same
    ours = {"PYTHONPATH": str(course), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    # pytest's plugins take seconds to import, and no test named here needs one
    ours |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=course, env=kept | ours, capture_output=True, text=True, errors="replace")
    found = re.search(r"^FAILED (.+?)(?: - |$)", done.stdout, re.M)
    took = time.perf_counter() - begun[0], _processor() - begun[1]
    return Ran(done.returncode, *took, found[1] if found else "", (done.stdout + done.stderr)[-3000:])


def _processor() -> float:
    """Seconds of processor time of every process that this one started and that has ended."""
    times = os.times()
    return times.children_user + times.children_system


class Course:
    """A copy of the course to sabotage, in which every test that is to notice has been seen to pass."""

    def __init__(self, folder: Path, sabotages: Sequence[Sabotage]) -> None:
        """Raises AssertionError when one of the tests fails in the untouched copy."""
        self.folder = copy_course(folder)
        self.folder.chmod(0o755)  # some tests read it as another user
        tests = dict.fromkeys(test for sabotage in sabotages for test in sabotage.tests)
        before = run(self.folder, tuple(tests))
        assert before.status == 0, f"not green before any sabotage:\n{before.said}"

    def try_it(self, sabotage: Sabotage) -> Ran:
        """What the tests say of it."""
        with sabotaged(self.folder, sabotage):
            return run(self.folder, sabotage.tests)


def main(words: list[str]) -> int:
    """Try every sabotage, or those that hold the word given; returns how many were not noticed."""
    from tempfile import TemporaryDirectory

    from lora_lessons.experiments import recordings

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--only", default="", help="a word of the sabotages to try; nothing is kept then")
    parser.add_argument("--new", action="store_true", help="only what the recording lacks, or tells of as not noticed")
    parser.add_argument("--out", type=Path, help="where to keep the recording (default: data/measurements/)")
    said = parser.parse_args(words)
    kept = recordings.recorded("sabotages")["rows"] if said.new else []
    # an empty name is a folder, and no file; a test that has moved is tried anew
    noticed = {row["what"]: row for row in kept if (ROOT / row["caught_by"].partition("::")[0]).is_file()}
    chosen = [one for one in SABOTAGES if said.only in f"{one.what} {one.file}" and one.what not in noticed]
    rows = [noticed[one.what] | {"file": one.file} for one in SABOTAGES if one.what in noticed]
    with TemporaryDirectory() as folder:
        course = Course(Path(folder), chosen) if chosen else None
        for sabotage in chosen:
            assert course
            ran = course.try_it(sabotage)
            rows.append(
                {
                    "what": sabotage.what,
                    "file": sabotage.file,
                    "caught_by": ran.failed if ran.red else "",
                    "seconds": round(ran.processor, 1),
                }
            )
            print(f"{ran.seconds:6.1f} s  {sabotage.what}: {ran.failed if ran.red else 'NOT NOTICED'}", flush=True)
    missed = sum(not row["caught_by"] for row in rows)
    print(f"{len(rows) - missed} of {len(rows)} sabotages were noticed.")
    if not said.only:
        recordings.keep("sabotages", {"rows": rows}, said.out)
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
