"""A new lesson from the template passes the tests as it stands, and one that cannot be leaves nothing behind."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lora_lessons.course.syllabus import SYLLABUS, Planned
from lora_lessons.paths import course_root
from workshop import new_lesson
from workshop.__main__ import main as workshop

LEFT_OUT = (
    ".git",
    ".venv",
    ".cache",
    "*_cache",
    "__pycache__",
    "course-report",
    "my_lessons",
    "shared",
    "*.egg-info",
)
ASKS = "Does the template run?"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the course that may be written to."""
    root = tmp_path_factory.mktemp("copy") / "course"
    shutil.copytree(course_root(), root, ignore=shutil.ignore_patterns(*LEFT_OUT))
    return root


def everything(root):
    """Every file of a folder, with its bytes."""
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def test_a_lesson_that_does_not_run_leaves_nothing_behind(copy, monkeypatch):
    monkeypatch.setenv("LORA_LESSONS_ROOT", str(copy))
    monkeypatch.setattr(new_lesson, "_check", lambda *_: None)
    before, halfway = everything(copy), []

    def stops(notebook):
        halfway.extend(set(everything(copy)) - set(before))
        raise KeyboardInterrupt

    monkeypatch.setattr(new_lesson, "_record", stops)
    with pytest.raises(KeyboardInterrupt):
        new_lesson.make("97_name", ASKS)
    assert len(halfway) == 4 and everything(copy) == before
    assert not list(copy.rglob("*97_name*"))


def test_a_new_lesson_passes_the_tests_as_it_stands(copy):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(copy), str(copy / "tests")])}
    environment.pop("LORA_LESSONS_ROOT", None)

    def run(*command):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=copy)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    python = Path(sys.executable)
    said = run(python, "-m", "workshop", "new-lesson", "97_name", ASKS)
    assert "97_name.ipynb" in said and "syllabus.py" in said and "README.md" in said

    run(python.with_name("ruff"), "check", "lora_lessons", "tests/lessons")
    run(python.with_name("ruff"), "format", "--check", "lora_lessons", "tests/lessons")
    room = "lora_lessons/lessons/l97_name"
    run(python, "-m", "mypy", "--follow-imports=skip", *map(str, sorted((copy / room).glob("*.py"))))
    run(python.with_name("lint-imports"))

    of_lessons = ("tests/lessons/test_notebooks.py", "tests/lessons/test_lessons.py", "notebooks/97_name.ipynb")
    tests = (*of_lessons, "tests/course", "tests/in_workshop/test_readme.py", "tests/test_house.py")
    tests = (*tests, "tests/lessons/test_rooms.py", "tests/lessons/test_prose_names.py")
    tests = (*tests, "tests/lessons/test_stored_outputs.py")
    mine = "97_name or 97.1 or 97.2 or syllabus or tables_are_as or registered or setup_cells"
    nbval = ("-p", "nbval_compares", "--nbval", "--nbval-current-env")
    told = run(python, "-m", "pytest", "-v", "-p", "no:cacheprovider", *nbval, "-k", mine, *tests)
    for name in (
        "test_the_lesson_runs_and_measures_what_was_recorded[97_name]",
        "97_name::ipynb::Cell 0",
        "test_it_has_the_shape_of_a_lesson[97_name]",
        "test_wrong_answers_are_rejected_by_name[97.2]",
        "test_a_cell_is_compared_unless_it_shows_what_varies[97_name]",
        "test_every_registered_exercise_stands_in_its_lesson",
    ):
        assert f"{name} PASSED" in told, name


@pytest.mark.parametrize(
    ("name", "question", "sentence"),
    [
        ("97", ASKS, "'97' is no lesson's name: give two digits and lower-case words, such as 15_name."),
        ("97_Name", ASKS, "is no lesson's name"),
        ("97-name", ASKS, "is no lesson's name"),
        ("../97_name", ASKS, "is no lesson's name"),
        ("05_again", ASKS, "lesson 05 is there already, 05_rank_and_alpha: choose another number."),
        ("97_name", "It runs.", "'It runs.' is no lesson's question"),
        ("97_name", 'Is it "right"?', "is no lesson's question"),
        ("97_name", "a" * 71 + "?", "at most 70 characters"),
        ("98_planned", ASKS, "lesson 98 is planned to ask “Why?”: give that question"),
    ],
)
def test_a_lesson_that_cannot_be_is_refused_in_a_sentence(monkeypatch, capsys, name, question, sentence):
    monkeypatch.setitem(SYLLABUS, "98", Planned("Why?", "say why"))
    assert workshop(["new-lesson", name, question]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("python -m workshop: ") and sentence in said
    assert not list((course_root() / "notebooks").glob("9*"))


def test_a_course_that_is_not_the_packages_own_is_refused(course, make_lesson, capsys):
    make_lesson("00_a")
    assert workshop(["new-lesson", "97_name", ASKS]) == 2
    assert "cloned course" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "after"), [("16", "15"), ("11", "10"), ("97", "96")])
def test_the_syllabus_row_comes_in_its_place(number, after):
    rows = [f'    "{n}": Planned("{n}?", "x"),\n' for n in ("09", "12", "15", "96")]
    rows.insert(1, '    "10": Planned(\n        "10?", "x", "y"\n    ),\n')
    source = 'A = {\n    "99": 1,\n}\nSYLLABUS: dict[str, Planned] = {\n' + "".join(rows) + "}\n\n\ndef f(): ...\n"
    made = ast.parse(new_lesson._with_row(source, number, ASKS)).body[1].value
    keys = [key.value for key in made.keys]
    assert keys == sorted([*keys]) and keys[keys.index(number) - 1] == after
