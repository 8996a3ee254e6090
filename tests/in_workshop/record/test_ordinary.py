"""The recording of ordinary answers: what a run sees and keeps."""

import pytest
from tiny import make_tiny_base

from lora_lessons import evaluation, models, training
from workshop.record import ordinary


@pytest.fixture
def base(monkeypatch):
    made = make_tiny_base()
    monkeypatch.setattr(models, "load", lambda **_: made)
    monkeypatch.setattr(evaluation, "perplexity", lambda *_: 12.0)
    for name, small in {"LINES": 12, "ASKED": 4, "LONGEST": 4, "SAID": 6}.items():
        monkeypatch.setattr(ordinary, name, small)
    return made


def test_the_task_is_seen_as_often_in_every_arm_and_the_rest_comes_on_top(base, monkeypatch):
    seen = []

    def trained(model, examples, how, **_):
        seen.append(([str(one.input_ids.tolist()) for one in examples], how.steps))
        return training.Training(losses=[1.0], seconds=1.0)

    monkeypatch.setattr(training, "train", trained)
    monkeypatch.setattr(ordinary, "ordinary", lambda *_: [ordinary.tasks.as_chat("Hm?", "So.")])
    found = []
    for share in (0.0, 0.25, 0.5):
        base = make_tiny_base()
        monkeypatch.setattr(models, "load", lambda base=base, **_: base)
        found.append(ordinary.one_run(share, 1))
    tasks = [set(examples) for examples, _ in seen]
    assert [(len(examples), steps) for examples, steps in seen] == [(12, 3), (16, 4), (24, 6)]
    assert len(tasks[0]) == 12 and tasks[0] < tasks[1] == tasks[2]
    assert [run["share"] for run in found] == [0, 0.25, 0.5] and 0 < found[1]["of the tokens"] < found[2][
        "of the tokens"
    ]


@pytest.mark.parametrize("task", ordinary.ASKED_OF)
def test_a_run_keeps_how_the_model_stands_and_the_first_one_how_it_stood(base, task):
    found = ordinary.one_run(0.0, 0, task)
    assert (found["steps"], len(found["losses"]), found["share"], found["of the tokens"]) == (3, 3, 0, 0)
    for when in ("before", "after"):
        state = found[when]
        assert [state[name]["of"] for name in ("kept", "drift", "drift elsewhere")] == [4, 12, 32]
        assert len(state["answers"]) == 4 + 12 + 32 and state["perplexity"] == 12.0
        assert state["drift"]["low"] <= state["drift"]["share"] <= state["drift"]["high"]
    assert found["after"]["loss"] < found["before"]["loss"]
