"""A class is marked: one row for each student and exercise, whatever their notebooks do."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

from lora_lessons.errors import Unavailable
from lora_lessons.outside import in_line
from lora_lessons.paths import cache_dir, package

from .notebooks import Answer, Damaged, handed_in, of_the_course
from .together import TOGETHER

DAMAGED, MISSING, OPEN, FAULT = "damaged", "not handed in", "open", "not judged"
FORMULA, LONGEST = tuple("=+-@\t"), 600
# What a judge's process takes over of this one's environment: no token, and no address of a server.
KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "LORA_LESSONS_ROOT")
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "1000"}


class Marked(NamedTuple):
    """What came of one exercise of one student, or of a notebook that cannot be read."""

    student: str
    exercise: str
    title: str
    result: str
    says: str  # the sentence of the check, which names the mistake
    judged: str  # "apart" from the student's code, or "together" with it
    notebook: str


class Judge:
    """A process that judges one answer after the other (see `confined`)."""

    def __init__(self) -> None:
        self.over = False
        self.begin()

    def begin(self) -> None:
        """Start it. Raises Unavailable where it does not start."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        path = os.pathsep.join([str(package().parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        command = [sys.executable, "-m", f"{__package__}.confined"]
        environment = kept | OFFLINE | {"PYTHONPATH": path, "LORA_LESSONS_CACHE": str(cache_dir())}
        self.process = subprocess.Popen(command, env=environment, encoding="utf-8", start_new_session=True, **pipes)
        self.holds = self._says()
        if not self.holds:
            raise Unavailable("the process that judges did not start: `lora-lessons doctor` says what is missing.")

    def judge(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a job, and what the check says."""
        with suppress(OSError):
            print(json.dumps(job), file=self.process.stdin, flush=True)
        if found := self._says():
            return found
        if not self.over:
            self.process.kill()
            self.begin()
        return {"result": FAULT, "says": "The judge's process ended: mark this student again."}

    def _says(self) -> dict[str, Any]:
        line = self.process.stdout.readline() if self.process.stdout else ""
        return dict(json.loads(line)) if line else {}

    def end(self) -> None:
        """End it, and with it whatever it started."""
        self.over = True
        self.process.kill()
        self.process.communicate()


def students_in(folder: Path) -> list[Path]:
    """The students' folders. Raises ValueError where there is none."""
    found = sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    if not found:
        raise ValueError(f"{folder} holds no folders: give the folder that has one for each student's notebooks.")
    return found


def mark(
    students: Sequence[Path],
    seconds: float,
    memory: int,
    at_once: int,
    anyway: bool = False,
    tell: Callable[[Marked], object] = lambda row: None,
) -> list[Marked]:
    """Judge what each student handed in, `at_once` answers side by side.

    An answer may take so many `seconds`, and so many bytes of `memory` more than Python and its libraries. Raises
    Unavailable where this system does not hold the code in, unless it is to run `anyway`.
    """
    from lora_lessons import models
    from lora_lessons.lessons import all_exercises

    models.embedded_folder()  # some checks need its tokenizer, and a judge may not fetch it
    titles = {id: one.title for id, one in all_exercises().items()}
    rows, answers = [], dict[tuple[str, str], Answer]()
    for student in students:
        is_link = [Damaged("", "it is a link: ask for the folder itself.")]
        for one in is_link if student.is_symlink() else handed_in(student):
            if isinstance(one, Answer):
                answers.setdefault((student.name, one.id), one)
            else:
                rows.append(Marked(student.name, "", "", DAMAGED, one.why, "", one.notebook))
    judges: SimpleQueue[Judge] = SimpleQueue()

    def row(student: str, id: str) -> Marked:
        one, (stub, ours) = answers.get((student, id)), of_the_course()[id]
        found = {"result": MISSING if one is None else OPEN, "says": ""}
        if one and one.cell.split() != stub.cell.split():
            judge = judges.get()
            known = {"ours": ours if id in TOGETHER else []}  # solutions are among it
            found = judge.judge(one._asdict() | known | {"seconds": seconds, "memory": memory})
            judges.put(judge)
        judged = "together" if id in TOGETHER else "apart"
        made = Marked(student, id, titles[id], found["result"], found["says"], judged, one.notebook if one else "")
        tell(made)
        return made

    asked = [id for id in titles if any(id == answered for _, answered in answers)]
    with ThreadPoolExecutor(at_once) as pool, ExitStack() as stack:
        for judge in pool.map(lambda _: Judge(), range(at_once)):
            stack.callback(judge.end)
            judges.put(judge)
            if not anyway and not judge.holds["files"]:
                raise Unavailable(OPEN_HERE)
        rows += pool.map(row, *zip(*[(student.name, id) for student in students for id in asked], strict=True))
    return sorted(rows, key=lambda row: row.student)


OPEN_HERE = (
    "this system cannot keep a student's code from your files (Linux with Landlock can): use a container or a virtual "
    "machine that holds nothing else, and add --anyway there."
)


def table(rows: Sequence[Marked]) -> str:
    """The rows as CSV. A cell that a spreadsheet would take for a formula begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Marked._fields)
    for row in rows:
        cells = [in_line(str(cell))[:LONGEST] for cell in row]
        writer.writerow([f"'{cell}" if cell[:1] in FORMULA else cell for cell in cells])
    return text.getvalue()
