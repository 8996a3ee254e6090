"""Ordinary answers: what the base says to nothing in particular, and which answers have a task's form."""

from lora_lessons import models
from lora_tools.own import ordinary_answers


def test_ordinary_answers_are_whole_sentences_of_the_base(monkeypatch):
    said = {"a": "It is.", "b": "One. Two! Thr\0", "c": "Never done\0", "d": "Who? Me 3.5\0"}
    monkeypatch.setattr(models, "answers", lambda base, asked, *_, **__: [said[one] for one in asked])
    found = ordinary_answers.ordinary(None, list(said))
    assert [[m["content"] for m in one["messages"]] for one in found] == [
        ["a", "It is."],
        ["b", "One. Two!"],
        ["d", "Who?"],
    ]


def test_a_tasks_own_form_is_looked_for_in_the_answers_to_its_own_questions():
    say, helps = "So. Keep the lamp lit.", "Cause: It is.\nFix: Do.\nIf not: Ask."
    rest = [say] * 40 + [helps] * 4
    assert ordinary_answers.own_form({"answers": [say] * 15 + ["So."] * 15 + rest}) == 0.5
    assert ordinary_answers.own_form({"answers": [helps] * 12 + [say] * 4 + rest}, "helpdesk") == 0.75
