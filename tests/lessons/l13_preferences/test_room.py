"""Lesson 13's room: the course's own functions solve its exercises."""

import pytest

from lora_lessons import preferences
from lora_lessons.course import exercises
from lora_lessons.lessons import l13 as l13


@pytest.mark.parametrize(
    "id, made",
    [
        ("13.1", preferences.answer_logprobs),
        ("13.2", preferences.dpo_loss),
        ("13.3", preferences.reference_of),
        ("13.4", preferences.push),
    ],
)
def test_what_the_course_wrote_solves_its_own_exercises(id, made):
    assert exercises.judge(id, made)[0] == "solved"
