"""Each task of the course has its rules, and so have the two small files: what keeps them, and what breaks each."""

import csv
import json

import pytest

from lora_lessons.paths import course_root
from lora_lessons.tasks import scores
from lora_lessons.tasks.scores import own


def test_every_task_has_rules_and_another_name_is_a_sentence():
    assert set(scores.RULES) == {file.parent.name for file in (course_root() / "data").glob("*/train.jsonl")}
    for name in ("nope", "os", "__init__", ""):
        with pytest.raises(ValueError, match="no rules are written for the task"):
            scores.looks_like(name, "Hello.")


GOOD = "Cause: The tank is empty.\nFix: Fill it.\nIf not: Clean the float."


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (GOOD, ""),
        (GOOD.replace("\n", " "), "write 3 lines, not 1"),
        ("\n".join(reversed(GOOD.splitlines())), "begin the lines with Cause, Fix, If not"),
        (GOOD.replace("Fill it.", "."), ""),
        (GOOD.replace("Fill it.", ""), "say something behind each"),
        (GOOD.replace("Fill it.", "Fill it"), "end each line with a full stop"),
        (GOOD.replace("Fill it.", f"{'Fill ' * 45}."), "write at most 45 words"),
        (GOOD.replace("Fill", "Füll"), "plain ASCII"),
    ],
)
def test_each_rule_is_named(answer, advice):
    found = "; ".join(own.faults(answer, own.HELPDESK))
    assert advice in found if advice else not found
    assert own.helpdesk(answer) is not bool(found) and not own.minutes(answer)


def test_the_files_keep_their_forms_and_none_has_the_others():
    with open(course_root() / "data" / "own" / "helpdesk.jsonl", encoding="utf-8") as file:
        said = [json.loads(line)["messages"][-1]["content"] for line in file]
    with open(course_root() / "data" / "own" / "minutes.csv", encoding="utf-8", newline="") as file:
        tidy = [row["completion"] for row in csv.DictReader(file)]
    assert (len(said), len(tidy)) == (80, 60)
    assert all(map(own.helpdesk, said)) and not any(map(own.minutes, said))
    assert all(map(own.minutes, tidy)) and not any(map(own.helpdesk, tidy))
