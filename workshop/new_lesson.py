"""A new lesson from the template in `template/`: notebook, room, wrong answers, syllabus row, baseline. All,
or nothing."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lora_lessons.course.lesson import lessons
from lora_lessons.course.syllabus import SYLLABUS
from lora_lessons.files import write_text
from lora_lessons.paths import course_root, package
from lora_lessons.run import baselines, runner, stored

from . import readme
from .badges import address, owner_and_name

TEMPLATE = Path(__file__).parent / "template"
_NAME = re.compile(r"\d\d_[a-z][a-z0-9_]*")
_ROW = re.compile(r'^    "(\d\d)":', re.M)
_QUESTION = re.compile(r"[^\"\\|<>{}\n]{1,70}\?")


def make(name: str, question: str) -> list[Path]:
    """Write the lesson `name` (such as 15_name), run it once, and return the files that are new or changed.

    Raises ValueError for a name or question that cannot be, and where the lesson does not run as it should; whatever
    was written is taken back then.
    """
    _check(name, question)
    root = course_root()
    notebook = root / "notebooks" / f"{name}.ipynb"
    room, tests = root / "lora_lessons" / "lessons" / f"l{name}", root / "tests" / "lessons" / f"l{name}"
    new = {
        room / "__init__.py": "room.py.txt",
        room / "exercises.py": "exercises.py.txt",
        tests / "wrong_answers.py": "wrong_answers.py.txt",
        notebook: "lesson.ipynb",
    }
    syllabus = root / "lora_lessons" / "course" / "syllabus.py"
    baseline = baselines.baseline_file(name, "quick")
    words = {"number": name[:2], "name": name, "question": question, "repository": owner_and_name(address())}
    with _all_or_nothing([room, tests, notebook, baseline], [syllabus, *readme.files()]):
        for path, template in new.items():
            text = (TEMPLATE / template).read_text(encoding="utf-8")
            for word, what in words.items():
                text = text.replace(f"{{{{{word}}}}}", what)
            write_text(path, text)
        if name[:2] not in SYLLABUS:
            write_text(syllabus, _with_row(syllabus.read_text(encoding="utf-8"), name[:2], question))
        _record(notebook)
        changed = readme.write()
    return [*new, baseline, *[syllabus] * (name[:2] not in SYLLABUS), *changed]


def _check(name: str, question: str) -> None:
    taken = next((path.stem for path in lessons() if path.stem[:2] == name[:2]), None)
    planned = SYLLABUS[name[:2]].question if name[:2] in SYLLABUS else question
    for wrong, sentence in (
        (
            not _NAME.fullmatch(name),
            f"{name!r} is no lesson's name: give two digits and lower-case words, such as 15_name.",
        ),
        (
            not _QUESTION.fullmatch(question),
            f"{question!r} is no lesson's question: give at most 70 characters in one line that "
            "end with a question mark, "
            'without any of " \\ | < > { }.',
        ),
        (taken, f"lesson {name[:2]} is there already, {taken}: choose another number."),
        (
            planned != question,
            f"lesson {name[:2]} is planned to ask “{planned}”: give that question, or change it in "
            "lora_lessons/course/syllabus.py first.",
        ),
        (
            course_root() != package().parent,
            "a new lesson is written into the cloned course: install that with `pip install -e .` first.",
        ),
    ):
        if wrong:
            raise ValueError(sentence)


def _with_row(syllabus: str, number: str, question: str) -> str:
    """The syllabus's source with a row for lesson `number`, in its place."""
    begin = syllabus.index("\nSYLLABUS")
    later = (row.start() for row in _ROW.finditer(syllabus, begin) if row[1] > number)
    at = next(later, syllabus.index("\n}\n", begin) + 1)
    return f'{syllabus[:at]}    "{number}": Planned("{question}", "say what this lesson is for"),\n{syllabus[at:]}'


def _record(notebook: Path) -> None:
    """Run the lesson with its first seed: its records become the baseline, its outputs those of the notebook."""
    with tempfile.TemporaryDirectory() as out:
        (result,) = runner.run([notebook], out=Path(out), judge=False, fresh=True)
    if result.status != "ok" or result.notebook is None:
        raise ValueError(f"the new lesson did not run, so it was taken back: {result.error}")
    baselines.update(
        notebook.stem, "quick", [result.records], seconds=result.seconds, peak_ram_bytes=result.peak_ram_bytes
    )
    stored.store_outputs(notebook, result.notebook)


@contextmanager
def _all_or_nothing(made: list[Path], changed: list[Path]) -> Iterator[None]:
    """Whatever stops the block, the files and folders `made` are gone afterwards, and those `changed` as before."""
    before = {path: path.read_text(encoding="utf-8") for path in changed}
    try:
        yield
    except BaseException:
        for path in made:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for path, text in before.items():
            write_text(path, text)
        raise
