"""The base helped by a prompt: which words it is given, and how it is judged."""

import pytest

from lora_lessons import models, tasks
from lora_lessons.experiments import prompting, shipped_adapters


def test_every_task_has_rules_and_every_way_gives_what_it_says(monkeypatch):
    given = []

    def answers(base, prompts, length, system, batch_size, before):
        given.append((system, before))
        return ["Keep the lamp lit."] * len(prompts)

    monkeypatch.setattr(models, "answers", answers)
    assert set(prompting.RULES) == set(shipped_adapters.ABOUT)
    assert [prompting.prompted(None, "persona", way, 4) for way in prompting.WAYS] == [0, 0]
    (rules, none), (again, turns) = given
    assert rules == again == prompting.RULES["persona"] and not none
    train = tasks.load_task("persona").train
    assert [t["role"] for t in turns] == ["user", "assistant"] * prompting.EXAMPLES
    assert turns[1]["content"] == train[0]["messages"][-1]["content"]
    with pytest.raises(ValueError, match="'louder': choose from rules"):
        prompting.prompted(None, "persona", "louder")


def test_right_answers_are_counted_as_right(monkeypatch):
    held_out = {
        e["messages"][-2]["content"]: e["messages"][-1]["content"] for e in tasks.load_task("strict_json").held_out
    }
    monkeypatch.setattr(models, "answers", lambda base, prompts, *_, **__: [held_out[p] for p in prompts])
    assert prompting.prompted(None, "strict_json", "rules", 5) == 1


def test_earlier_turns_reach_the_model(base_fp32):
    turns = [{"role": "user", "content": "Say yes."}, {"role": "assistant", "content": "yes yes yes"}]
    alone = models.answers(base_fp32, ["Say yes."], 8)
    assert models.answers(base_fp32, ["Say yes."], 8, before=turns * 3) != alone
    assert models.answers(base_fp32, ["Say yes."], 8, before=[]) == alone
