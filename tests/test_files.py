"""Files and folders are written whole or not at all."""

import os

import pytest

from lora_lessons import files
from lora_lessons.paths import course_root


def test_a_file_is_replaced_only_when_the_new_one_is_complete(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), files.whole_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    files.write_text(target, "new")
    assert target.read_text() == "new" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_text_that_cannot_be_written_leaves_the_old_one(tmp_path):
    target = tmp_path / "a.txt"
    files.write_text(target, "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(target, "half a character: \ud800")
    assert target.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_that_cannot_be_moved_into_place_leaves_the_old_one(tmp_path, monkeypatch):
    target = tmp_path / "adapter"
    target.mkdir()
    (target / "mine").write_text("precious")
    real, calls = os.replace, []

    def locked(source, destination):
        calls.append(source)
        if len(calls) == 2:
            raise PermissionError("in use")
        real(source, destination)

    monkeypatch.setattr(files.os, "replace", locked)
    with pytest.raises(PermissionError), files.whole_folder(target) as temporary:
        (temporary / "new").write_text("new")
    assert (target / "mine").read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["adapter"]


def test_a_course_that_is_not_there_says_what_to_set(tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_LESSONS_ROOT", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="set LORA_LESSONS_ROOT"):
        course_root()
