"""A room is its lesson's: what is registered is in the room of its number, which opens on its question."""

import sys

from lora_lessons import lessons
from lora_lessons.course import exercises
from lora_lessons.course.lesson import lessons as notebooks
from lora_lessons.course.syllabus import SYLLABUS


def test_every_lesson_has_a_room_of_its_number():
    assert [name[:3] for name in lessons.rooms()] == [f"l{path.stem[:2]}" for path in notebooks()]


def test_a_room_opens_on_its_lessons_question():
    for name in lessons.rooms():
        planned = SYLLABUS[name[1:3]]
        first, *more = (
            " ".join(part.split()) for part in sys.modules[f"lora_lessons.lessons.{name}"].__doc__.split("\n\n")
        )
        assert first == f"Lesson {name[1:3]}: {planned.question}"
        assert not more or more == [f"After it, the learner can {planned.afterwards}."]


def test_what_is_registered_is_in_its_own_room():
    """The room's module is where an exercise is defined,
    so a stranger finds it under the notebook's name."""
    for one in lessons.all_exercises().values():
        assert one.check.__module__.split(".")[2][1:3] == one.id[:2], one.id
    assert len(exercises.EXERCISES) == len(lessons.all_exercises()) and lessons.all_claims()


def test_exercises_of_further_halls_are_groups_of_their_own():
    mine = [exercises.Exercise(f"12.{n}", "", 1, 1, lambda answer: None) for n in (1, 2, 7, 8, 21)]
    assert lessons._squares(mine, {"12.2", "12.7"}) == "□■ ■□ □"


def test_the_map_shows_a_square_for_each_exercise(progress):
    progress.write_text('{"solved": {"01.3": "2026-01-01"}}', encoding="utf-8")
    shown = lessons.progress_map().data
    assert shown.startswith("<details><summary>Your progress: 1 of "), "folded away, but for the sum"
    rows = shown.split("<tr>")[2:]
    assert len(rows) == len(notebooks())
    assert sum(row.count("■") + row.count("□") for row in rows) == len(lessons.all_exercises())
    assert "□■" in rows[1] and "1 of" in rows[1] and "0 of" in rows[0]
