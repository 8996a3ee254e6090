"""A new lesson from the template in `template/`: notebook, room, wrong answers, syllabus row, baseline. All, or nothing."""

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

TEMPLATE = Path(__file__).parent / "template"
_NAME = re.compile(r"\d\d_[a-z][a-z0-9_]*")
_QUESTION = re.compile(r"[^\"\\|<>{}\n]{1,70}\?")


def make(name: str, question: str) -> list[Path]:
    """Write the lesson `name` (such as 17_name), run it once, and return the files that are new or changed.

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
        room / "pictures.py": "pictures.py.txt",
        tests / "wrong_answers.py": "wrong_answers.py.txt",
        notebook: "lesson.ipynb",
    }
    syllabus = root / "lora_lessons" / "course" / "syllabus.py"
    baseline = baselines.baseline_file(name, "quick")
    with _all_or_nothing([room, tests, notebook, baseline], [syllabus, *readme.files()]):
        for path, template in new.items():
            text = (TEMPLATE / template).read_text(encoding="utf-8")
            write_text(path, _notebook(text, name, question) if path == notebook else _filled(text, name, question))
        if name[:2] not in SYLLABUS:
            write_text(syllabus, _with_row(syllabus.read_text(encoding="utf-8"), name[:2], question))
        _record(notebook)
        changed = readme.write()
    return [*new, baseline, *[syllabus] * (name[:2] not in SYLLABUS), *changed]


def _check(name: str, question: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no lesson's name: give two digits and lower-case words, such as 17_name.")
    if not _QUESTION.fullmatch(question):
        raise ValueError(
            f"{question!r} is no lesson's question: give at most 70 characters in one line that end with a question mark, "
            'without any of " \\ | < > { }.'
        )
    if taken := next((path.stem for path in lessons() if path.stem[:2] == name[:2]), None):
        raise ValueError(f"lesson {name[:2]} is there already, {taken}: choose another number.")
    planned = SYLLABUS.get(name[:2])
    if planned and planned.question != question:
        raise ValueError(
            f"lesson {name[:2]} is planned to ask “{planned.question}”: give that question, or change it in "
            "lora_lessons/course/syllabus.py first."
        )
    if course_root() != package().parent:
        raise ValueError("a new lesson is written into the cloned course: install that with `pip install -e .` first.")


def _filled(text: str, name: str, question: str) -> str:
    return text.replace("{{number}}", name[:2]).replace("{{name}}", name).replace("{{question}}", question)


def _notebook(text: str, name: str, question: str) -> str:
    """The template notebook, with the badge and the set-up cell that the lessons share."""
    import nbformat

    notebook, first = nbformat.reads(text, as_version=4), nbformat.read(lessons()[0], as_version=4)
    set_up = next(cell.source for cell in first.cells if "setup" in cell.metadata.get("tags", []))
    badge = next(line for line in first.cells[0].source.splitlines() if "colab-badge" in line)
    for cell in notebook.cells:
        cell.source = _filled(cell.source, name, question).replace("{{badge}}", badge.replace(lessons()[0].stem, name))
        if "setup" in cell.metadata.get("tags", []):
            cell.source = set_up
    return nbformat.writes(notebook) + "\n"


def _with_row(syllabus: str, number: str, question: str) -> str:
    """The syllabus's source with a row for lesson `number`, in its place."""
    row = f'    "{number}": Planned("{question}", "say what this lesson is for"),\n'
    lines = syllabus.splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if line.startswith("SYLLABUS")) + 1

    def comes_later(line: str) -> bool:
        listed = re.match(r' {4}"(\d\d)":', line)
        return line == "}\n" or (listed is not None and listed[1] > number)

    place = next(i for i, line in enumerate(lines[first:], first) if comes_later(line))
    return "".join([*lines[:place], row, *lines[place:]])


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
