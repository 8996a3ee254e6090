"""Every exercise: its stub never breaks Run All, its folded solution is accepted, its wrong answers are named."""

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

from lora_lessons import quant
from lora_lessons.course import earlier, exercises, learner, own_code
from lora_lessons.course.lesson import begin, lessons, side_trips
from lora_lessons.lessons import all_exercises

STUB = re.compile(r'^check\("(?P<id>\d\d\.\d+)", (?P<name>\w+)\)\s*$', re.M)
SOLUTION = re.compile(r"<summary>Solution</summary>\s*~~~python\n(?P<code>.*?)~~~", re.S)
HEAD = re.compile(r"### Exercise (?P<id>\d\d\.\d+) · (?P<stars>[★☆]{3}) · (?P<minutes>\d+) minutes")


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
    for cell in [c for c in cells if c.cell_type == "markdown"]:  # an exercise may use what an earlier one asked for
        for solution in SOLUTION.finditer(cell.source):
            exec(solution["code"], scope)
    return scope


def answers(kind):
    for path in sorted(Path(__file__).parents[1].glob("lessons/*/wrong_answers*.py")):
        spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield from getattr(module, kind, {}).items()


WRONG, ALSO_RIGHT = dict(answers("WRONG")), dict(answers("ALSO_RIGHT"))


def judged(cells, id, name, source):
    scope = namespace(cells)
    exec(source, scope)
    return exercises.judge(id, scope[name])


@pytest.mark.parametrize("cells, stub, id, name, before, after", FOUND)
def test_the_unsolved_stub_is_open_and_the_folded_solution_is_right(cells, stub, id, name, before, after):
    scope = namespace(cells)
    exec(STUB.sub("", stub), scope)
    assert exercises.judge(id, scope[name])[0] == "open"
    exec(SOLUTION.search(after)["code"], scope)
    state, sentence = exercises.judge(id, scope[name])
    assert state == "solved", sentence
    if (one := all_exercises()[id]).keeps:
        alone: dict = {}
        exec(own_code.IMPORTS + one.imports + SOLUTION.search(after)["code"], alone)
        assert exercises.judge(id, alone[name])[0] == "solved", "later lessons get it without this notebook's imports"


@pytest.mark.parametrize("cells, stub, id, name, before, after", FOUND)
def test_wrong_answers_are_rejected_by_name(cells, stub, id, name, before, after):
    assert len(WRONG[id]) >= 3
    for source, fragment in WRONG[id]:
        state, sentence = judged(cells, id, name, source)
        assert state == "not yet" and fragment.lower() in sentence.lower(), f"{id}: {source}\n→ {sentence}"


@pytest.mark.parametrize("cells, stub, id, name, before, after", [p for p in FOUND if p.id in ALSO_RIGHT])
def test_a_right_answer_in_other_words_is_right(cells, stub, id, name, before, after):
    for source, remark in ALSO_RIGHT[id]:
        state, sentence = judged(cells, id, name, source)
        assert state == "solved" and remark in sentence, f"{id}: {source}\n→ {sentence}"


def test_each_has_a_heading_that_agrees_and_three_hints():
    for _, stub, id, _, before, after in (one.values for one in FOUND):
        head = next(h for h in HEAD.finditer(before) if h["id"] == id)
        one = all_exercises()[id]
        assert (head["stars"].count("★"), int(head["minutes"])) == (one.difficulty, one.minutes), id
        assert "-> " in stub and '"""' in stub, f"{id}: a stub is typed and says what it returns"
        hints = after[: SOLUTION.search(after).start()]
        assert all(f"<summary>Hint {n}</summary>" in hints for n in (1, 2, 3)), id


def test_every_registered_exercise_stands_in_its_lesson():
    ids = [p.id for p in FOUND]
    assert len(set(ids)) == len(ids) and set(ids) == set(all_exercises())
    assert list(all_exercises()) == sorted(ids, key=lambda id: tuple(map(int, id.split(".")))), "12.2 before 12.11"


def test_a_check_never_raises_and_remembers_what_was_solved(progress, one_exercise, monkeypatch):
    exercises.check("99.1", lambda: 1 / 0)
    assert "99.1" not in learner.read_progress()["done"]
    monkeypatch.setitem(earlier.IN_0_3, "99_a", {"98.1": "99.1"})  # as a copy of 0.2 calls it
    monkeypatch.setattr(learner, "begun", "99_a")
    exercises.check("98.1", lambda: 1)
    assert "99.1" in learner.read_progress()["done"]


def test_a_copy_of_a_notebook_that_had_another_number_is_not_judged_by_todays(
    progress, one_exercise, monkeypatch, capsys
):
    monkeypatch.setitem(earlier.NOTEBOOKS, "99_many_cards", "deeper/08_many_cards")
    monkeypatch.setattr(learner, "begun", "")
    begin("99_many_cards")
    exercises.check("99.1", lambda: 1)
    assert "99.1" not in learner.read_progress()["done"]
    said = capsys.readouterr().out
    assert "a copy of 99_many_cards from before 0.4" in said and "it is deeper/08_many_cards now" in said
    begin("99_preferences")
    exercises.check("99.1", lambda: 1)
    assert "99.1" in learner.read_progress()["done"]


@pytest.mark.parametrize(
    ("guess", "measured", "said"),
    [
        (10.4, 10.0, "You predicted 10.4 GB. Recorded: 10 GB. Very close."),
        (None, 10.0, "Recorded: 10 GB. You made no prediction this time."),
        (14, 10.0, "You predicted 14 GB. Recorded: 10 GB. Close."),
        (20, 10.0, "You predicted 20 GB. Recorded: 10 GB. Your guess is 2 times too high: what did you assume?"),
        (200, 20.0, "Your guess is 10 times too high: what did you assume?"),
        (2e4, 20.0, "Did you mean another unit?"),
        (2e7, 20.0, "Did you mean another unit?"),
        (0.02, 20.0, "Did you mean another unit?"),
        (2, 10.0, "You predicted 2 GB. Recorded: 10 GB. Your guess is 5 times too low: what did you assume?"),
        (0, 10.0, "You predicted 0 GB. Recorded: 10 GB."),
        (0, 0.0, "You predicted 0 GB. Recorded: 0 GB. Exactly right."),
        (3, -1.0, "You predicted 3 GB. Recorded: -1 GB."),
    ],
)
def test_a_guess_is_compared_in_words(progress, capsys, guess, measured, said):
    learner.predict("09.x", guess, "GB")
    learner.compare("09.x", measured, "GB", word="recorded")
    line = capsys.readouterr().out.splitlines()[-1]
    assert said in line and ("another unit" in line) == ("another unit" in said)


@pytest.mark.parametrize(
    "guess", ["107", -3, float("nan"), float("inf"), True, [107], pytest.param(10**400, id="long")]
)
def test_a_prediction_that_is_no_plain_number_is_not_kept(progress, capsys, guess):
    learner.predict("09.x", guess, "GB")
    said = capsys.readouterr().out
    assert said.startswith("Type your guess as one plain number") and "GB" in said and "without quotes" in said
    assert not re.search("[1-9]", said), "an example might be the answer"
    assert learner.read_progress()["predictions"] == {}


@pytest.fixture
def one_exercise(monkeypatch):
    def right(answer):
        return None if exercises.one_number(answer()) == 1 else "not one"

    monkeypatch.setitem(exercises.EXERCISES, "99.1", exercises.Exercise("99.1", "One", 1, 1, right))


def test_printing_is_not_returning(one_exercise, capsys):
    said = ("not yet", "Your function printed its answer; it must return it. Write return in place of print.")
    assert exercises.judge("99.1", lambda: print(1)) == said
    assert capsys.readouterr().out == "1\n", "what was printed is still shown"
    assert exercises.judge("99.1", lambda: None)[0] == "open"
    assert exercises.judge("99.1", lambda: print("on the way") or 1) == ("solved", "Correct. You have solved “One”.")


def test_what_is_not_a_number_is_named(one_exercise):
    assert exercises.judge("99.1", lambda: [1])[1] == "Return one number; your function returned a list."
    assert exercises.judge("99.1", lambda: {1}.pop)[1].startswith("Return one number; your function returned a builtin")
    assert (
        exercises.judge("99.1", lambda: 1 / 0)[1]
        == "Your code stopped with an error. ZeroDivisionError: division by zero"
    )


def test_an_answer_that_a_check_stumbles_over_is_not_called_code_that_stopped():
    for id, answer, said in (
        ("04.1", lambda keys, names: keys if keys[0].startswith("module.") else None, "object is not iterable"),
        ("00.1", lambda n: 2000, "takes 1 positional argument but 2 were given"),
    ):
        state, sentence = exercises.judge(id, answer)
        assert (
            state == "not yet"
            and sentence.startswith("The check cannot use your answer. TypeError: ")
            and said in sentence
        )
    assert exercises.judge("00.1", lambda *_: quant.dequantize(None))[1].startswith("Your code stopped with an error.")


def test_my_folder_is_where_an_absolute_path_says_and_never_one_that_exists(progress, tmp_path):
    assert learner.my_folder(tmp_path / "mine") == tmp_path / "mine"
    for expected in ("wick", "wick-2", "wick-3"):
        folder = learner.my_folder("adapters/wick")
        assert folder == tmp_path / "adapters" / expected
        folder.mkdir(parents=True)


def test_code_that_the_learner_wrote_is_kept_and_never_overwritten(progress, tmp_path):
    assert learner.newest_code("my_lora") is None
    first = learner.keep_code("my_lora", "class MyLoRA: ...\n")
    assert first == tmp_path / "my_lora.py" and learner.keep_code("my_lora", "class MyLoRA: ...\n") == first
    for number, source in ((2, "x = 2\n"), (3, "class MyLoRA: ...\n"), (4, "x = 2\n")):  # an older one comes back, too
        assert learner.keep_code("my_lora", source) == tmp_path / f"my_lora-{number}.py"
        assert learner.newest_code("my_lora").read_text(encoding="utf-8") == source
    assert first.read_text(encoding="utf-8") == "class MyLoRA: ...\n"
    learner.keep_code("my_lora_too", "other = 1\n")
    (tmp_path / "my_lora-draft.py").write_text("mine")
    for number in range(5, 11):
        learner.keep_code("my_lora", f"x = {number}\n")
    assert learner.newest_code("my_lora").name == "my_lora-10.py", "by number, not by letter"
    assert len(list(tmp_path.glob("*.py"))) == 12
    with pytest.raises(ValueError, match="cannot name a piece of code"):
        learner.keep_code("../my_lora", "x")
