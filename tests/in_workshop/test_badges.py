"""`python -m workshop badges`: a fork's address, written everywhere and told aloud."""

from __future__ import annotations

import pytest

from workshop import badges
from workshop.__main__ import main as workshop

OLD, NEW = "https://github.com/lora-lessons/lora-lessons", "https://github.com/me/my-fork"


@pytest.fixture
def _a_course_with_an_address(course):
    (course / "pyproject.toml").write_text(f'[project.urls]\nRepository = "{OLD}"\n', encoding="utf-8")
    (course / "README.md").write_text(f"git clone {OLD}\n", encoding="utf-8")


@pytest.mark.usefixtures("_a_course_with_an_address")
def test_an_address_is_written_everywhere_and_told_aloud(course, capsys):
    assert workshop(["badges"]) == 0
    assert capsys.readouterr().out == "0 files changed.\n"
    assert workshop(["badges", NEW]) == 0
    assert capsys.readouterr().out == "README.md: rewritten.\npyproject.toml: rewritten.\n2 files changed.\n"
    assert (course / "README.md").read_text(encoding="utf-8") == f"git clone {NEW}\n"


@pytest.mark.usefixtures("_a_course_with_an_address")
@pytest.mark.parametrize("written", [0, 1])
def test_stopped_at_any_file_the_same_command_writes_the_rest(course, monkeypatch, written):
    real, left = badges.whole_file, [*range(written)]

    def stops(path):
        left.pop()
        return real(path)

    with monkeypatch.context() as patch, pytest.raises(IndexError):
        patch.setattr(badges, "whole_file", stops)
        workshop(["badges", NEW])
    assert workshop(["badges", NEW]) == 0
    assert NEW in (course / "README.md").read_text("utf-8") and NEW in (course / "pyproject.toml").read_text("utf-8")


@pytest.mark.usefixtures("_a_course_with_an_address")
@pytest.mark.parametrize("place", ["03_a", "deeper/03_a"])
def test_a_notebook_that_lacks_a_badge_gets_one_once(course, make_lesson, place):
    (course / "notebooks" / "deeper").mkdir(exist_ok=True)
    lesson = make_lesson(place)
    assert lesson in badges.set_address(NEW) and badges.set_address(NEW) == []
    text = lesson.read_text("utf-8")
    assert "colab-badge.svg" in text and f"/github/me/my-fork/blob/main/notebooks/{place}" in text


@pytest.mark.usefixtures("_a_course_with_an_address")
def test_what_is_no_address_is_refused_in_a_sentence(capsys):
    assert workshop(["badges", "my-fork"]) == 2
    said = capsys.readouterr().err
    assert "'my-fork' is no repository" in said and said.count("\n") == 1
