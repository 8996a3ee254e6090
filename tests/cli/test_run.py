"""`lora-lessons run`: parameters read as papermill reads them, and nothing rewritten silently."""

from __future__ import annotations

import nbformat
import pytest

from lora_lessons.course.records import Record
from lora_lessons.run.baselines import baseline_file, read_baseline, update
from lora_tools import cli
from lora_tools.cli.run import _pair, scalar

RECORD = "from lora_lessons.course.records import record\n"


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("2e-3", 2e-3), ("True", True), ("None", None), ("owner/name", "owner/name")]
)
def test_parameters_are_read_as_papermill_reads_them(text, value):
    from papermill.cli import _resolve_type

    assert scalar(text) == value == _resolve_type(text) and type(scalar(text)) is type(value)


def test_exit_statuses(make_lesson, capsys):
    make_lesson("00_a", RECORD + "record('x', 1)")
    make_lesson("01_b", "1/0")
    assert cli.main(["run", "0"]) == 0
    assert "Report: course-report" in capsys.readouterr().out
    update("00_a", "quick", [{"x": Record("x", 2)}] * 2, 1, 1)
    assert cli.main(["run", "0"]) == cli.EXIT_NO
    assert "x is 1; expected 2, exactly that." in capsys.readouterr().err
    assert cli.main(["run"]) == cli.EXIT_FAILED


def test_what_a_lesson_hands_over_ends_the_run_and_stands_in_its_report(make_lesson, capsys, tmp_path):
    made = "from lora_lessons.course.lesson import Handover\n"
    make_lesson("00_a", f"{made}Handover(['Your adapter: <mine>', 'Ask it: so'])", "print('Your adapter: no')")
    assert cli.main(["run", "0", "--out", str(tmp_path / "out")]) == 0
    assert "records)\n  Your adapter: <mine>\n  Ask it: so\n" in capsys.readouterr().err
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<pre>Your adapter: &lt;mine&gt;\nAsk it: so</pre>" in page


def test_what_a_lesson_says_beforehand_is_said_while_it_runs(make_lesson, capsys, tmp_path):
    first = "from lora_lessons.course.lesson import Beforehand\nBeforehand(['It takes 3 minutes.\\x1b[31m'])"
    make_lesson("00_a", first, "1/0")
    assert cli.main(["run", "0", "--out", str(tmp_path / "out")]) == cli.EXIT_FAILED
    said = capsys.readouterr().err
    assert said.index("It takes 3 minutes.\\u001b[31m\n") < said.index("00_a: failed")


def test_baselines_are_rewritten_aloud_and_only_after_good_runs(make_lesson, capsys):
    make_lesson("00_a", RECORD + "record('loss', 1.0 + 0.1 * seed, 'nats')\nrecord('t', 3, 's', volatile=True)")
    make_lesson("01_b", RECORD + "record('y', 1)\nassert seed != 1")
    make_lesson(
        "02_c",
        RECORD + "record('z' if seed else 'y', 1)",
        "import os\nrecord('fresh', os.environ['LORA_LESSONS_FRESH'])",
    )
    update("01_b", "quick", [{"y": Record("y", 5)}], 1, 1)
    before = baseline_file("01_b", "quick").read_bytes()

    assert cli.main(["run", "--update-baselines", "--seeds", "2"]) == cli.EXIT_FAILED
    said = capsys.readouterr().out
    assert "00_a: baseline rewritten from 2 seeds" in said and "loss: new → 1 nats [0.9 … 1.2]" in said
    assert "01_b: failed with at least one seed; its baseline stays as it was." in said
    assert "02_c: seed 1 and seed 0 do not both record y, z. Its baseline stays as it was." in said
    assert baseline_file("01_b", "quick").read_bytes() == before and read_baseline("02_c") is None
    made = read_baseline("00_a")
    assert made["records"]["loss"]["seeds"] == [1.0, 1.1] and made["volatile"] == {"t": {"value": 3, "unit": "s"}}

    text = baseline_file("00_a", "quick").read_bytes()
    assert cli.main(["run", "0"]) == 0
    assert baseline_file("00_a", "quick").read_bytes() == text, "a run without the flag rewrites nothing"


def test_what_depends_on_the_machine_is_kept_of_the_run_whose_outputs_are_stored(make_lesson):
    make_lesson("00_a", RECORD + "record('loss', 1.0, 'nats')\nrecord('t', 3, 's', volatile=True)")
    old = {"loss": Record("loss", 1.001, "nats"), "t": Record("t", 9, "s", True)}
    update("00_a", "quick", [old], 1, 1)
    before = read_baseline("00_a")
    assert cli.main(["run", "0"]) == 0 and read_baseline("00_a") == before
    assert cli.main(["run", "0", "--update-notebooks"]) == 0
    assert read_baseline("00_a") == before | {"volatile": {"t": {"value": 3, "unit": "s"}}}


def test_a_report_takes_the_place_of_no_notebook_but_an_earlier_reports(make_lesson, tmp_path, capsys):
    mine = tmp_path / "my_lessons" / make_lesson("00_a", "1").name
    for words in (["my_lessons"], ["course/notebooks"]):
        mine.parent.mkdir(exist_ok=True)
        mine.write_text('{"cells": ["my own work"]}')
        before = (tmp_path / words[0] / mine.name).read_bytes()
        assert cli.main(["run", "00", "--out", *words]) == 2
        assert "choose another --out" in capsys.readouterr().err
        assert (tmp_path / words[0] / mine.name).read_bytes() == before
    assert [cli.main(["run", "00", "--out", "report"]) for _ in range(2)] == [0, 0]


def test_stored_outputs_are_rewritten_aloud(make_lesson, capsys):
    good, local = make_lesson("00_a", "print('hello')"), make_lesson("01_b", "import os\nprint(os.getcwd())")
    before = local.read_bytes()
    assert cli.main(["run", "--update-notebooks"]) == cli.EXIT_FAILED
    told = capsys.readouterr()
    assert "00_a.ipynb: outputs stored." in told.out and "01_b.ipynb: the output of cell 3" in told.err
    assert nbformat.read(good, as_version=4).cells[-1].outputs[0].text == "hello\n"
    assert local.read_bytes() == before


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("data_path=mine.jsonl", "HERE/mine.jsonl"),
        ("data_path=new/../2024", "HERE/2024"),
        ("data_path=", ""),
        ("export_path=shipped", "HERE/shipped"),
        ("model=there", "HERE/there"),
        ("model=embedded", "embedded"),
        ("model=owner/name", "owner/name"),
        ("steps=12", 12),
    ],
)
def test_a_path_is_meant_from_where_the_command_was_typed(given, meant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "embedded").mkdir()
    expected = meant.replace("HERE", str(tmp_path)) if isinstance(meant, str) else meant
    assert _pair(given) == (given.partition("=")[0], expected)
