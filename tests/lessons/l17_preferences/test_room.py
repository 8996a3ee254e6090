"""Lesson 17's room: the course's own functions solve its exercises."""

import pytest

from lora_lessons import preferences
from lora_lessons.course import exercises
from lora_lessons.lessons import l17 as l17


@pytest.mark.parametrize(
    "id, made",
    [
        ("17.1", preferences.answer_logprobs),
        ("17.2", preferences.dpo_loss),
        ("17.3", preferences.reference_of),
        ("17.4", preferences.push),
    ],
)
def test_what_the_course_wrote_solves_its_own_exercises(id, made):
    assert exercises.judge(id, made)[0] == "solved"
