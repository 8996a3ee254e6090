"""The learner's progress file, in every state that a disk can leave it in: the lesson goes on,
and nothing is overwritten."""

import json
from unittest.mock import Mock

import pytest

from lora_lessons.course import earlier, exercises, learner


@pytest.fixture
def file(progress, monkeypatch):
    """A progress file of the test's own, and a kernel that remembers nothing."""
    monkeypatch.setattr(learner, "_unsaved", {}, raising=False)
    monkeypatch.setitem(
        exercises.EXERCISES, "99.1", exercises.Exercise("99.1", "One", 1, 1, lambda f: None if f() == 1 else "not one")
    )
    return progress


def use(capsys):
    """Everything a lesson asks of the file; what was printed."""
    learner.predict("09.x", 20, "MB")
    exercises.check("99.1", lambda: 1)
    learner.compare("09.x", 20, "MB")
    return capsys.readouterr().out


WRONG = {
    '{"solved": {"01.1": ': "cut short",
    "[]": "list",
    "null": "null",
    "7": "number",
    '"x"': "text",
    '{"solved": []}': "solved is a list",
    '{"solved": null, "predictions": {}}': "solved is null",
    '{"predictions": 5}': "predictions is a number",
    '{"solved": {"01.1": null}}': "a date is null",
    '{"predictions": {"09.x": [20]}}': "a guess is a list",
    '{"predictions": {"09.x": {"a": 1}}}': "a guess is an object",
    "[" * 100_000: "nested",
    '{"predictions": {"09.x": ' + "1" * 5000 + "}}": "5,000 digits",
    b"\xff\xfe{\x00}\x00": "UTF-16",
    b"\0" * 40: "zeros",
    b'{"solved": {"01.1": "caf\xe9"}}': "Latin-1",
}


@pytest.mark.parametrize("damaged", WRONG, ids=WRONG.values())
def test_what_is_no_progress_is_set_aside_and_a_new_one_begins(file, capsys, damaged):
    data = damaged if isinstance(damaged, bytes) else damaged.encode()
    file.write_bytes(data)
    said = use(capsys)
    assert "It is kept as progress.json.damaged-1" in said and "You predicted 20 MB" in said
    assert file.with_name("progress.json.damaged-1").read_bytes() == data
    kept = json.loads(file.read_text())
    assert kept["predictions"] == {"09.x": 20} and list(kept["done"]) == ["99.1"]


MOVED = {"14.1": "12.1", "12.1": "08.3", "17.2": "13.2", "16.1": "09.4"}


@pytest.mark.parametrize(
    "kept, today",
    [
        # 03.4 of 0.2 is 03.1 now; the old 03.1 is gone
        ({"solved": {"03.4": "2", "03.1": "1", "01.1": "3"}}, {"03.1": "2", "01.1": "3"}),
        (
            {"solved": {"08.3": "5"}, "exercises": {"14.1": "1", "12.1": "2", "13.2": "3", "01.1": "4"}},
            {"12.1": "1", "08.3": "2", "01.1": "4"},
        ),
        # 0.2's numbers, twice over
        ({"solved": {"14.1": "1", "08.3": "2", "03.4": "3"}}, {"12.1": "1", "03.1": "3"}),
        # what 0.2 called 09.4 is 09.2 now; what it and 0.3 called 16.1 is 09.4
        ({"solved": {"16.1": "1", "09.4": "2"}}, {"09.2": "2", "09.4": "1"}),
        ({"solved": {}, "exercises": {"16.1": "1", "16.2": "3"}}, {"09.4": "1", "16.2": "3"}),
        ({"exercises": {"16.2": "3"}}, {"16.2": "3"}),
    ],
)
def test_what_an_earlier_version_kept_counts_by_todays_numbers_and_marks_no_other(
    file, kept, today, capsys, monkeypatch
):
    monkeypatch.setattr(earlier, "IN_0_4", MOVED)
    file.write_text(json.dumps(kept))
    assert learner.read_progress()["done"] == today
    use(capsys)
    after = json.loads(file.read_text())
    assert kept.items() <= after.items() and after["done"].keys() == {*today, "99.1"}


def test_half_a_character_in_the_file_does_not_keep_the_lesson_from_saving(file, capsys):
    file.write_text('{"predictions": {"01.x": "\\ud83d"}, "solved": {}}')
    assert "You predicted 20 MB" in use(capsys)
    assert learner.read_progress()["predictions"] == {"01.x": "\ud83d", "09.x": 20}


def test_a_damaged_one_that_cannot_be_moved_stays_and_is_said_once(file, capsys, monkeypatch):
    file.write_text("{")
    monkeypatch.setattr(type(file), "rename", Mock(side_effect=PermissionError(13, "Permission denied")))
    said = use(capsys)
    assert said.count("is damaged, and cannot be set aside (Permission denied)") == 1
    assert "You predicted 20 MB. Measured: 20 MB" in said, "this kernel remembers"
    assert file.read_text() == "{" and "99.1" in learner.read_progress()["done"]


def test_a_folder_in_its_place_is_left_alone_and_said_once(file, capsys):
    file.mkdir()
    (file / "mine.txt").write_text("mine")
    said = use(capsys)
    assert said.count(f"Your progress file {file} cannot be read") == 1 and "You predicted 20 MB" in said
    assert (file / "mine.txt").read_text() == "mine" and [p.name for p in file.parent.iterdir()] == ["progress.json"]


def test_a_file_where_its_folder_should_be_is_said_once(file, capsys, monkeypatch):
    (file.parent / "afile").write_text("x")
    monkeypatch.setenv("LORA_LESSONS_PROGRESS", str(file.parent / "afile" / "progress.json"))
    said = use(capsys)
    assert said.count("could not be saved") == 1 and "You predicted 20 MB" in said


def test_a_full_disk_is_said_once_and_what_was_remembered_is_saved_when_there_is_room(file, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(learner, "write_text", Mock(side_effect=OSError(28, "No space left on device")))
        said = use(capsys)
    assert said.count("could not be saved (No space left on device)") == 1 and "You predicted 20 MB" in said
    learner.predict("10.y", 3, "s")
    kept = json.loads(file.read_text())
    assert kept["predictions"] == {"09.x": 20, "10.y": 3} and list(kept["done"]) == ["99.1"]


def test_code_of_the_learner_that_is_no_utf_8_is_left_as_it_is(file):
    first = learner.keep_code("my_lora", "x = 1\n")
    first.write_bytes(b"# caf\xe9\n")
    assert learner.keep_code("my_lora", "x = 1\n").name == "my_lora-2.py" and first.read_bytes() == b"# caf\xe9\n"
