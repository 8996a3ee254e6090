"""The lessons, run: papermill against the recorded baselines.

Set LORA_LESSONS_REPORT to a folder to keep the report of this run.
"""

import os
import re
from pathlib import Path

import nbformat
import pytest

from lora_lessons import models
from lora_lessons.course.lesson import lessons, side_trips
from lora_lessons.run import runner
from lora_lessons.run.baselines import read_baseline


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    models.embedded_folder()  # made now, so that no lesson's first cell tells of it on stderr
    return Path(os.environ.get("LORA_LESSONS_REPORT") or tmp_path_factory.mktemp("report"))


def in_turn():
    """Lessons and side trips as parameters: first those that hand on an adapter (03 to 04 and 10), then the others,
    longest first."""

    def seconds(lesson):
        return (read_baseline(lesson.stem, "quick") or {"seconds": 0})["seconds"]

    chain = [lesson for lesson in lessons() if lesson.stem[:2] in ("03", "04", "10")]
    others = [one for one in [*lessons(), *side_trips()] if one not in chain]
    return [pytest.param(one, id=one.stem) for one in [*chain, *sorted(others, key=seconds, reverse=True)]]


@pytest.mark.long
@pytest.mark.parametrize("lesson", in_turn())
def test_the_lesson_runs_and_measures_what_was_recorded(lesson, out):
    (result,) = runner.run([lesson], "quick", out=out / lesson.stem)
    assert result.status == "ok", f"{result.error or ''}\n" + "\n".join(d.sentence for d in result.deviations)
    assert result.records and (out / lesson.stem / "report.html").is_file()


def test_what_was_trained_in_lesson_03_answers_through_llama_cpp_in_lesson_10(out):
    run = out / "10_ship_it" / "10_ship_it.ipynb"
    if not run.is_file() or not (out / "03_train_lora").is_dir():
        pytest.skip("lessons 03 and 10 were not both run in this session")
    cells = nbformat.read(run, 4).cells
    printed = "".join(o.get("text", "") for cell in cells for o in cell.get("outputs", []))
    assert "yours, from lesson 03: wick" in printed
    assert re.search(r"\nllama\.cpp: \w.{20,}", printed)
