"""Two runs into one folder: one at a time, and what the earlier one found is still there after the later one."""

import json
from pathlib import Path

import nbformat
import pytest

from lora_lessons.course.records import Record
from lora_lessons.run import result, runner
from lora_lessons.run.baselines import update
from lora_lessons.run.result import LessonResult
from lora_tools import cli


@pytest.fixture
def quick(make_lesson, monkeypatch):
    """Two lessons that run at once: each measures the number that is put here by its name."""
    measures = {"00_a": 1, "01_b": 2}
    for name in measures:
        make_lesson(name)

    def run_one(lesson, parameters, out, environment=None, title="", **_):
        name = lesson.stem
        cell = nbformat.v4.new_markdown_cell(f"# {name[:2]} · Lesson {name} with {measures[name]}?")
        notebook = nbformat.v4.new_notebook(cells=[cell])
        nbformat.write(notebook, out / f"{name}.ipynb")
        records = {"x": Record("x", measures[name])}
        return LessonResult(name, "ok", 1.0, 10**9, 1, records=records, notebook=notebook)

    monkeypatch.setattr(runner, "run_one", run_one)
    return measures


def report(out="out"):
    return {one["lesson"]: one for one in json.loads(Path(out, "report.json").read_text())["lessons"]}


def values(out="out"):
    return {lesson: one["records"]["x"]["value"] for lesson, one in report(out).items()}


def test_the_second_of_two_runs_at_once_is_refused(quick, tmp_path, capsys):
    with result.alone_in(tmp_path / "out"):
        assert cli.main(["run", "0", "--out", "out"]) == cli.EXIT_USER
    said = capsys.readouterr().err
    assert "another run is writing its report to" in said and "choose another folder with --out." in said
    assert said.count("\n") == 1 and not (tmp_path / "out" / "report.json").exists()
    assert cli.main(["run", "0", "--out", "out"]) == 0, "it is free again"


def test_a_later_run_adds_to_the_report_and_replaces_what_it_ran_again(quick, capsys):
    update("00_a", "quick", [{"x": Record("x", 1)}] * 2, 1, 1)
    assert cli.main(["run", "1", "--out", "out"]) == 0
    first = report()["01_b"]["date"]
    assert cli.main(["run", "0", "--out", "out"]) == 0
    assert values() == {"00_a": 1, "01_b": 2} and report()["01_b"]["date"] == first
    page = Path("out/report.html").read_text()
    assert "Lesson 00_a with 1?" in page and "Lesson 01_b with 2?" in page and f"ok, on {first}" in page
    quick["01_b"] = 5
    assert cli.main(["run", "1", "--out", "out"]) == 0
    assert values() == {"00_a": 1, "01_b": 5}
    assert "measured what was recorded" in Path("out/report.html").read_text(), "what was judged stays judged"
    assert Path("out/.lock").read_text() == "" and "is kept as" not in capsys.readouterr().err


def test_a_report_of_another_kind_is_kept_beside_the_new_one(quick, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["run", "1", "--out", "out"]) == 0
    before = (out / "report.html").read_text()
    assert cli.main(["run", "0", "--profile", "full", "--out", "out"]) == 0
    assert "made in another way" in capsys.readouterr().err
    assert list(report()) == ["00_a"]
    (page,) = out.glob("report-*.html")
    assert page.read_text() == before and page.with_suffix(".json").is_file()


# What becomes of a report: it is damaged, or it names a notebook elsewhere, over which the next run would write.
SPOILT = {
    "cut short": lambda _: "{",
    "a list": lambda _: "[]",
    "not a report": lambda _: '{"profile": "quick"}',
    "nothing": lambda _: "null",
    "above its folder": lambda text: text.replace('"00_a"', '"../mine"'),
    "elsewhere": lambda text: text.replace('"00_a"', json.dumps(str(Path("mine").resolve()))),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_report_that_cannot_be_read_or_that_names_what_is_not_its_own_is_kept_beside_the_new_one(quick, capsys, how):
    assert cli.main(["run", "0", "--out", "out"]) == 0
    for number in (1, 2):
        file = Path("out/report.json")
        file.write_text(SPOILT[how](file.read_text()))
        assert cli.main(["run", "0", "--out", "out"]) == 0
        assert "kept as report-" in capsys.readouterr().err and values() == {"00_a": 1}
        assert len(list(Path("out").glob("report-*.json"))) == number
