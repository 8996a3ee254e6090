"""The lessons, run: papermill against the recorded baselines; and sabotage, to see that the nets hold.

Set LORA_LESSONS_REPORT to a folder to keep the report of this run.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import replay

from lora_lessons import models
from lora_lessons.course.lesson import lessons, side_trips
from lora_lessons.paths import course_root
from lora_lessons.run import runner
from lora_lessons.run.baselines import read_baseline


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    models.embedded_folder()  # made now, so that no lesson's first cell tells of it on stderr
    return Path(os.environ.get("LORA_LESSONS_REPORT") or tmp_path_factory.mktemp("report"))


def in_turn():
    """The lessons as parameters: first those that hand on an adapter (03 to 04 and 10), then the others,
    longest first."""

    def seconds(lesson):
        return (read_baseline(lesson.stem, "quick") or {"seconds": 0})["seconds"]

    chain = [lesson for lesson in lessons() if lesson.stem[:2] in ("03", "04", "10")]
    others = sorted((lesson for lesson in lessons() if lesson not in chain), key=seconds, reverse=True)
    return [pytest.param(lesson, id=lesson.stem) for lesson in chain + others]


@pytest.mark.long
@pytest.mark.parametrize("lesson", in_turn())
def test_the_lesson_runs_and_measures_what_was_recorded(lesson, out):
    (result,) = runner.run([lesson], "quick", out=out / lesson.stem)
    assert result.status == "ok", f"{result.error or ''}\n" + "\n".join(d.sentence for d in result.deviations)
    assert result.records and (out / lesson.stem / "report.html").is_file()


@pytest.mark.long
@pytest.mark.parametrize("trip", [pytest.param(path, id=path.stem) for path in side_trips()])
def test_the_side_trip_runs_and_measures_what_was_recorded(trip, out):
    (result,) = runner.run([trip], "quick", out=out / trip.stem)
    assert result.status == "ok", f"{result.error or ''}\n" + "\n".join(d.sentence for d in result.deviations)
    assert (out / trip.stem / "report.html").is_file()


def test_what_was_trained_in_lesson_03_answers_through_llama_cpp_in_lesson_10(out):
    run = out / "10_ship_it" / "10_ship_it.ipynb"
    if not run.is_file() or not (out / "03_train_lora").is_dir():
        pytest.skip("lessons 03 and 10 were not both run in this session")
    cells = nbformat.read(run, 4).cells
    printed = "".join(o.get("text", "") for cell in cells for o in cell.get("outputs", []))
    assert "yours, from lesson 03: wick" in printed
    assert re.search(r"\nllama\.cpp: \w.{20,}", printed)


def test_dropping_the_scale_from_the_layer_is_noticed(tmp_path):
    """Sabotage: a copy of the package in which α/r is forgotten must not pass lesson 02."""
    package = tmp_path / "lora_lessons"
    for name in (package.name, "lora_tools"):
        shutil.copytree(course_root() / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    source = (package / "lora.py").read_text(encoding="utf-8")
    right = "return lora_alpha / (math.sqrt(r) if use_rslora else r)"
    assert right in source
    (package / "lora.py").write_text(source.replace(right, "return 1.0"), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "LORA_LESSONS_ROOT": str(course_root())}
    command = [sys.executable, "-m", "lora_tools.cli", "run", "02", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr  # 1: it ran, and its records deviate
    report = (tmp_path / "out" / "report.json").read_text(encoding="utf-8")
    assert "product.exact" in report and '"deviates"' in report


def test_a_changed_stored_output_is_noticed(tmp_path):
    """Sabotage: nbval must fail when a compared output on disk is not what the cell prints, and pass when it is."""
    notebook = nbformat.read(course_root() / "notebooks" / "02_lora_layer.ipynb", 4)
    last = next(i for i, c in enumerate(notebook.cells) if 'record("product.exact"' in c.source)
    notebook.cells = notebook.cells[: last + 1]
    nbformat.write(notebook, tmp_path / "right.ipynb")
    (output,) = [o for o in notebook.cells[last].outputs if "product.exact" in str(o)]
    output.data["text/plain"] = output.data["text/plain"].replace("yes", "no")
    nbformat.write(notebook, tmp_path / "wrong.ipynb")
    for name, status in (("right", 0), ("wrong", 1)):
        options = ("-q", "-p", "no:cacheprovider", "-p", "nbval_compares", "--nbval")
        command = [sys.executable, "-m", "pytest", *options, f"{name}.ipynb"]
        environment = os.environ | {"PYTHONPATH": replay.with_tests()}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert done.returncode == status, done.stdout + done.stderr
