"""nbval on the outputs of a run that is over: what differs is noticed, and what did not run is no pass."""

import base64
import json
import os
import re
import subprocess
import sys

import nbformat
import pytest
import replay
import stages

from lora_lessons.course.claims import CONDITION, HOLDS, Card
from lora_lessons.course.on_the_web import SCENE
from lora_lessons.course.records import Record, Table

EXEMPT = ["nbval-ignore-output", "varies-trained"]


def says(text, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)


def shows(**data):
    return nbformat.v4.new_output("display_data", {kind.replace("_", "/"): value for kind, value in data.items()})


def picture(text, alt="a line"):
    png = base64.b64encode(text.encode()).decode()
    return [
        shows(image_png=png, text_plain="<Figure>"),
        shows(text_html=f'<img alt="{alt}" src="data:image/png;base64,{png}">'),
    ]


def records(unit="nats", **values):
    table = Table(Record(name, value, unit) for name, value in values.items())
    return nbformat.v4.new_output("display_data", table._repr_mimebundle_())


def card(verdict, sentence):
    return shows(text_html=Card("G01", "it is small", verdict, sentence).html(), text_plain="<HTML>")


def caption(words):
    return shows(text_markdown=f"*In words:* {words}", text_plain="<Markdown>")


def film(answer):
    return [shows(image_png="AAAA", **{SCENE: {"name": "film"}}), caption(answer)]


def notebook(*cells):
    """A notebook of cells, each given as its outputs and its tags."""
    new = nbformat.v4
    made = [
        new.new_code_cell(f"say({n})", execution_count=n + 1, outputs=outputs, metadata={"tags": tags} if tags else {})
        for n, (outputs, tags) in enumerate(cells)
    ]
    return new.new_notebook(cells=[new.new_markdown_cell("# 01"), *made])


def nbval(folder, stored, ran):
    """Compare the cells stored with those that ran (None: nothing ran); pytest's status and which cells failed."""
    if ran is not None:
        executed = notebook(*ran)
        executed.cells.insert(1, nbformat.v4.new_code_cell("seed = 1", metadata={"tags": ["injected-parameters"]}))
        (folder / "ran" / "01_lesson").mkdir(parents=True)
        nbformat.write(executed, folder / "ran" / "01_lesson" / "01_lesson.ipynb")
    nbformat.write(notebook(*stored), folder / "01_lesson.ipynb")
    for place in ("notebooks", "data/baselines"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    band = {"unit": "nats", "low": 1.39, "high": 1.4, "seeds": [1.395]}
    known = {
        "fell": band | {"expected": 1.395},
        "rose": band | {"expected": 1.395},
        "kept": band | {"expected": 2.395, "low": 2.39, "high": 2.4},
    }
    (folder / "data" / "baselines" / "01_lesson.quick.json").write_text(json.dumps({"records": known}))
    environment = os.environ | {replay.RAN: str(folder / "ran"), "PYTHONPATH": replay.with_tests()}
    environment["LORA_LESSONS_ROOT"] = str(folder)
    options = "-p nbval_compares -p no:cacheprovider -p no:xdist -q --nbval --nbval-kernel-name=replay"
    command = [sys.executable, "-m", "pytest", *options.split(), "01_lesson.ipynb"]
    environment |= replay.install(folder / "jupyter")
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    return done.returncode, {int(n) for n in re.findall(r"^FAILED \S+::Cell (\d+)", done.stdout, re.M)}, done.stdout


@pytest.mark.parametrize(
    ("ran", "status"),
    [(["one\n", "two\n"], 0), (["one\n", "three\n"], 1), (["one\n"], 1), (None, 1)],
    ids=["the same", "another output", "a cell that did not run", "no run at all"],
)
def test_nbval_compares_with_what_the_run_showed(tmp_path, ran, status):
    stored = [([says("one\n")], []), ([says("two\n")], [])]
    found, _, said = nbval(tmp_path, stored, ran and [([says(text)], []) for text in ran])
    assert found == status, said


SAME = {
    "what libraries say on the way": ([says("one\n")], [says("Warning!\n", "stderr"), says("one\n")], []),
    "a picture": (picture("at home"), picture("elsewhere"), []),
    "an address": ([shows(text_plain="<Stage at 0x7f00>")], [shows(text_plain="<Stage at 0x7fab>")], []),
    "a record's tenth digit": ([records(loss=0.07444355606)], [records(loss=0.07444355600)], []),
    "a recorded number in its band": ([records(fell=1.395)], [records(fell=1.392)], []),
    "such a number where it is printed": ([says("139.5% of 2\n")], [says("139.2% of 2\n")], []),
    "exempt: another value": ([records(loss=3.1), says("0.5\n")], [records(loss=3.2), says("0.6 or so\n")], EXEMPT),
    "exempt: numbers on a card": ([card(HOLDS, "From 5.1 to 3.2e-05.")], [card(HOLDS, "From 4 to 1,024.")], EXEMPT),
    "exempt: numbers of a caption": ([caption("It ends at 3.1.")], [caption("It ends at 3.2.")], EXEMPT),
    "exempt: a whole number of a caption": ([caption("Off by 19.2, of 24.")], [caption("Off by 19, of 24.")], EXEMPT),
    "exempt: a run that was found": (
        [says("It fell.\n")],
        [says("Reused: the same run finished on 2026-11-28 in 44 s.\n"), says("It fell.\n")],
        EXEMPT,
    ),
    "exempt: lines before a picture": (
        [*picture("a fall"), says("It fell.\n")],
        [says("Trained 24 steps in 9 s.\n"), *picture("a fall"), says("It fell.\n")],
        EXEMPT,
    ),
    "exempt: runs that were found": (
        picture("a fall"),
        [says("2 of 2 runs are done already.\n"), *picture("a fall")],
        EXEMPT,
    ),
    "exempt: a model's answer in a film": (film("It is wet."), film("It may be dry."), EXEMPT),
}
DIFFERENT = {
    "a picture's words": (picture("x"), picture("x", alt="a bar"), []),
    "a caption": ([caption("It ends at 3.1.")], [caption("It ends at 3.2.")], []),
    "a record's fourth digit": ([records(loss=0.07444)], [records(loss=0.07445)], []),
    "a recorded number beyond its band": ([records(rose=1.395)], [records(rose=1.45)], []),
    "such a number where it is printed": ([says("139.5% so\n")], [says("145.0% so\n")], []),
    "a number in a band, with another word": ([says("1.395 times\n")], [says("1.392 parts\n")], []),
    "a number in a band, recorded with another unit": ([records("%", kept=2.395)], [records("‰", kept=2.392)], []),
    "such a number where it is printed, ": ([says("2.395 so\n")], [says("2.392 so\n")], []),
    "a number in a band that another record has": ([says("1.395 of it\n")], [says("1.391 of it\n")], []),
    "a number that no record has": ([says("2.71\n")], [says("2.72\n")], []),
    "a record that is gone": ([records(loss=3.1, rank=8.0)], [records(loss=3.1)], []),
    "a verdict": ([card(HOLDS, "So.")], [card(CONDITION, "So.")], []),
    "a number on a card": ([card(HOLDS, "From 5.1.")], [card(HOLDS, "From 5.2.")], []),
    "nothing shown": ([says("one\n")], [], []),
    "exempt: a verdict": ([card(HOLDS, "From 5.1.")], [card(CONDITION, "From 5.1.")], EXEMPT),
    "exempt: a card's words": ([card(HOLDS, "From 5.1.")], [card(HOLDS, "Up to 5.1.")], EXEMPT),
    "exempt: a caption's words": ([caption("It ends at 3.1.")], [caption("It begins at 3.1.")], EXEMPT),
    "exempt: a record that is gone": ([records(loss=3.1, rank=8.0)], [records(loss=3.1)], EXEMPT),
    "exempt: a record's unit": ([records(loss=3.1)], [records("", loss=3.1)], EXEMPT),
    "exempt: no card": ([says("x\n"), card(HOLDS, "So.")], [says("x\n")], EXEMPT),
}  # fmt: skip


def test_every_cell_is_compared_and_of_an_exempt_one_its_frame(tmp_path):
    """Each case is one cell: what is stored, what the run showed, its tags."""
    cases = [*SAME.items(), *DIFFERENT.items()]
    stored = [(then, tags) for _, (then, _, tags) in cases]
    ran = [(now, tags) for _, (_, now, tags) in cases]
    status, failed, said = nbval(tmp_path, stored, ran)
    named = [name for n, (name, _) in enumerate(cases) if n in failed]
    assert named == list(DIFFERENT) and status == 1, said
    assert "the frame of its output was" in said


@pytest.mark.parametrize(("first", "last", "said"), [(1, 0, "FAILED: units and lessons."), (0, -9, "FAILED: browser.")])
def test_every_stage_runs_and_the_end_says_which_failed(monkeypatch, tmp_path, capsys, first, last, said):
    ended = dict(zip(stages.STAGES, (first, 0, last), strict=True))
    monkeypatch.setattr(stages, "REPORTS", tmp_path / "reports")
    monkeypatch.setattr(stages, "SITE", tmp_path / "site")
    monkeypatch.setattr(stages, "run", lambda stage, report: (ended.pop(stage), stages.Took(1, 1)))
    assert stages.main([]) == max(first, -last) and not ended
    assert capsys.readouterr().out.endswith(f"{said}\n")
