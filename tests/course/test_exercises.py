"""Every exercise: its stub never breaks Run All, its folded solution is accepted, its wrong answers are named."""

import importlib.util
import re
from pathlib import Path

import nbformat
import numpy
import pytest

from lora_lessons.course import exercises, learner
from lora_lessons.course.lesson import lessons, side_trips
from lora_lessons.lessons import all_exercises

STUB = re.compile(r'^check\("(?P<id>\d\d\.\d)", (?P<name>\w+)\)\s*$', re.M)
SOLUTION = re.compile(r"<summary>Solution</summary>\s*~~~python\n(?P<code>.*?)~~~", re.S)
HEAD = re.compile(r"### Exercise (?P<id>\d\d\.\d) · (?P<stars>[★☆]{3}) · (?P<minutes>\d+) minutes")


def notebook_exercises():
    """(lesson, cells before, stub source, exercise id, function name, the text that follows) of every stub."""
    for path in [*lessons(), *side_trips()]:
        cells = nbformat.read(path, 4).cells
        for i, cell in enumerate(cells):
            if cell.cell_type == "code" and (stub := STUB.search(cell.source)):
                after = "\n".join(c.source for c in cells[i + 1 : i + 8] if c.cell_type == "markdown")
                before = "\n".join(c.source for c in cells[:i] if c.cell_type == "markdown")
                yield pytest.param(cells[:i], cell.source, stub["id"], stub["name"], before, after, id=stub["id"])


FOUND = list(notebook_exercises())


def namespace(cells, upto=""):
    """The imports and functions that a lesson's stub can see: every import and definition above it, nothing run."""
    import ast

    kept = []
    for cell in [c for c in cells if c.cell_type == "code"]:
        lines = [line for line in cell.source.splitlines() if not line.lstrip().startswith(("!", "%"))]
        if "find_spec" in cell.source:
            continue
        tree = ast.parse("\n".join(lines))
        kept += [
            node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef))
        ]
    scope: dict = {"profile": "quick", "seed": 0}
    exec(compile(ast.Module(kept, []), "lesson", "exec"), scope)
    return scope


def wrong_answers():
    for path in sorted(Path(__file__).parents[1].glob("lessons/*/wrong_answers.py")):
        spec = importlib.util.spec_from_file_location(path.parent.name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield from module.WRONG.items()


WRONG = dict(wrong_answers())


@pytest.mark.parametrize("cells, stub, id, name, before, after", FOUND)
def test_the_unsolved_stub_is_open_and_the_folded_solution_is_right(cells, stub, id, name, before, after):
    scope = namespace(cells)
    exec(STUB.sub("", stub), scope)
    assert exercises.judge(id, scope[name])[0] == "open"
    exec(SOLUTION.search(after)["code"], scope)
    state, sentence = exercises.judge(id, scope[name])
    assert state == "solved", sentence


@pytest.mark.parametrize("cells, stub, id, name, before, after", FOUND)
def test_wrong_answers_are_rejected_by_name(cells, stub, id, name, before, after):
    assert len(WRONG[id]) >= 3
    for source, fragment in WRONG[id]:
        scope = namespace(cells)
        exec(source, scope)
        state, sentence = exercises.judge(id, scope[name])
        assert state == "not yet" and fragment.lower() in sentence.lower(), f"{id}: {source}\n→ {sentence}"


@pytest.mark.parametrize("cells, stub, id, name, before, after", FOUND)
def test_each_has_a_heading_that_agrees_and_three_hints(cells, stub, id, name, before, after):
    head = next(h for h in HEAD.finditer(before) if h["id"] == id)
    one = all_exercises()[id]
    assert (head["stars"].count("★"), int(head["minutes"])) == (one.difficulty, one.minutes)
    assert "-> " in stub and '"""' in stub, "a stub is typed and says what it returns"
    hints = after[: SOLUTION.search(after).start()]
    assert all(f"<summary>Hint {n}</summary>" in hints for n in (1, 2, 3))


def test_every_registered_exercise_stands_in_its_lesson_and_each_lesson_has_two():
    ids = [p.id for p in FOUND]
    assert sorted(ids) == list(all_exercises())
    for path in lessons():
        assert sum(id.startswith(path.stem[:2] + ".") for id in ids) >= 2, path.stem


def test_a_check_never_raises_and_remembers_what_was_solved(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LORA_LESSONS_PROGRESS", str(tmp_path / "progress.json"))
    exercises.EXERCISES["99.1"] = exercises.Exercise("99.1", "One", 1, 1, lambda f: None if f() == 1 else "not one")
    try:
        exercises.check("99.1", lambda: 1 / 0)
        assert "99.1" not in learner.read_progress()["solved"]
        exercises.check("99.1", lambda: 1)
        assert "99.1" in learner.read_progress()["solved"]
    finally:
        del exercises.EXERCISES["99.1"]


def test_a_damaged_progress_file_is_kept_aside(monkeypatch, tmp_path, capsys):
    file = tmp_path / "progress.json"
    monkeypatch.setenv("LORA_LESSONS_PROGRESS", str(file))
    file.write_text('{"solved": {"01.1": ')
    learner.solved("01.2")
    assert "could not be read" in capsys.readouterr().out
    assert list(learner.read_progress()["solved"]) == ["01.2"]
    assert (tmp_path / "progress.json.damaged-1").read_text() == '{"solved": {"01.1": '


def test_predictions_are_kept_and_compared(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LORA_LESSONS_PROGRESS", str(tmp_path / "progress.json"))
    learner.compare("09.x", 10.0, "MB")
    learner.predict("09.x", None)
    learner.predict("09.x", 20, "MB")
    learner.compare("09.x", 10.0, "MB")
    said = capsys.readouterr().out
    assert "no prediction" in said and "You predicted 20 MB; measured: 10 MB. Off by a factor of 2.0" in said


@pytest.mark.parametrize("guess", ["107", 0, -3, float("nan"), True])
def test_a_prediction_that_is_no_plain_number_is_not_kept(monkeypatch, tmp_path, capsys, guess):
    monkeypatch.setenv("LORA_LESSONS_PROGRESS", str(tmp_path / "progress.json"))
    learner.predict("09.x", guess, "GB")
    assert capsys.readouterr().out == "Give a plain number, in GB: 107, not '107'.\n"
    assert learner.read_progress()["predictions"] == {}


@pytest.mark.parametrize("guess, asked", [(20e6, True), (20e3, True), (0.02, True), (200, False)])
def test_a_guess_off_by_a_thousand_or_a_million_is_asked_for_its_unit(monkeypatch, tmp_path, capsys, guess, asked):
    monkeypatch.setenv("LORA_LESSONS_PROGRESS", str(tmp_path / "progress.json"))
    learner.predict("09.x", guess, "million")
    learner.compare("09.x", 20.0, "million")
    assert ("Did you mean another unit?" in capsys.readouterr().out) == asked


def test_numpys_true_is_an_answer():
    fits = exercises.judge("00.3", lambda n, bits, card_gib: numpy.bool_(n * bits / 8 <= card_gib * 2**30))
    assert fits[0] == "solved"


def test_my_folder_never_names_one_that_exists(monkeypatch, tmp_path):
    monkeypatch.setenv("LORA_LESSONS_PROGRESS", str(tmp_path / "progress.json"))
    for expected in ("wick", "wick-2", "wick-3"):
        folder = learner.my_folder("adapters/wick")
        assert folder == tmp_path / "adapters" / expected
        folder.mkdir(parents=True)
