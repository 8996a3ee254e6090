"""Each task of the course has its rules."""

import pytest

from lora_lessons.paths import course_root
from lora_lessons.tasks import scores


def test_every_task_has_rules_and_another_name_is_a_sentence():
    assert set(scores.RULES) == {file.parent.name for file in (course_root() / "data").glob("*/train.jsonl")}
    for name in ("nope", "os", "__init__", ""):
        with pytest.raises(ValueError, match="no rules are written for the task"):
            scores.looks_like(name, "Hello.")
