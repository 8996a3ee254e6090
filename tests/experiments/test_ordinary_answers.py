"""The recording of ordinary answers: what a run sees and keeps, and that recording goes on where it was stopped."""

import pytest
from tiny import make_tiny_base

from lora_lessons import evaluation, models, training
from lora_lessons.experiments import ordinary_answers, recordings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)


@pytest.fixture
def base(monkeypatch):
    made = make_tiny_base()
    monkeypatch.setattr(models, "load", lambda **_: made)
    monkeypatch.setattr(evaluation, "perplexity", lambda *_: 12.0)
    for name, small in {"LINES": 12, "ASKED": 4, "LONGEST": 4, "SAID": 6}.items():
        monkeypatch.setattr(ordinary_answers, name, small)
    return made


def test_ordinary_answers_are_whole_sentences_of_the_base(base, monkeypatch):
    said = {"a": "It is.", "b": "One. Two! Thr\0", "c": "Never done\0", "d": "Who? Me 3.5\0"}
    monkeypatch.setattr(models, "answers", lambda base, asked, *_, **__: [said[one] for one in asked])
    found = ordinary_answers.ordinary(base, list(said))
    assert [[m["content"] for m in one["messages"]] for one in found] == [
        ["a", "It is."],
        ["b", "One. Two!"],
        ["d", "Who?"],
    ]


def test_the_task_is_seen_as_often_in_every_arm_and_the_rest_comes_on_top(base, monkeypatch):
    seen = []

    def trained(model, examples, how, **_):
        seen.append(([str(one.input_ids.tolist()) for one in examples], how.steps))
        return training.Training(losses=[1.0], seconds=1.0)

    monkeypatch.setattr(training, "train", trained)
    monkeypatch.setattr(ordinary_answers, "ordinary", lambda *_: [ordinary_answers.tasks.as_chat("Hm?", "So.")])
    found = []
    for share in (0.0, 0.25, 0.5):
        base = make_tiny_base()
        monkeypatch.setattr(models, "load", lambda base=base, **_: base)
        found.append(ordinary_answers.one_run(share, 1))
    tasks = [set(examples) for examples, _ in seen]
    assert [(len(examples), steps) for examples, steps in seen] == [(12, 3), (16, 4), (24, 6)]
    assert len(tasks[0]) == 12 and tasks[0] < tasks[1] == tasks[2]
    assert [run["share"] for run in found] == [0, 0.25, 0.5] and 0 < found[1]["of the tokens"] < found[2][
        "of the tokens"
    ]


@pytest.mark.parametrize("task", ordinary_answers.ASKED_OF)
def test_a_run_keeps_how_the_model_stands_and_the_first_one_how_it_stood(base, task):
    found = ordinary_answers.one_run(0.0, 0, task)
    assert (found["steps"], len(found["losses"]), found["share"], found["of the tokens"]) == (3, 3, 0, 0)
    for when in ("before", "after"):
        state = found[when]
        assert [state[name]["of"] for name in ("kept", "drift", "drift elsewhere")] == [4, 12, 32]
        assert len(state["answers"]) == 4 + 12 + 32 and state["perplexity"] == 12.0
        assert state["drift"]["low"] <= state["drift"]["share"] <= state["drift"]["high"]
    assert found["after"]["loss"] < found["before"]["loss"]


def test_recording_goes_on_where_it_was_stopped_and_asks_all_shares_of_a_task_before_a_second_seed(monkeypatch):
    made = []

    def one(share, seed, task):
        if len(made) == 5:
            raise RuntimeError("stopped")
        made.append((task, seed, share))
        return {"share": share}

    with pytest.raises(FileNotFoundError):
        recordings.recorded(ordinary_answers.NAME)
    monkeypatch.setattr(ordinary_answers, "one_run", one)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="stopped"):
            ordinary_answers.record()
        first, made = made, []
        if len(recordings.recorded(ordinary_answers.NAME)["runs"]) == 5:
            done = first
    expected = [("helpdesk", seed, share) for seed in (0, 1, 2) for share in (0, 0.25)]
    expected += [("persona", 0, share) for share in ordinary_answers.SHARES]
    assert done + first == expected and len(recordings.recorded(ordinary_answers.NAME)["runs"]) == 10


def test_an_arm_counts_the_answers_of_all_seeds_that_were_recorded():
    say = "So. Keep the lamp lit."

    def run(unasked, asked, loss):
        answers = [say] * asked + ["So."] * (30 - asked) + [say] * unasked + ["So."] * (44 - unasked)
        return {"after": {"answers": answers, "kept": {"share": 0.1}, "loss": loss, "perplexity": 40.0}}

    name = ordinary_answers.run_name
    runs = {name(0.0, 0): run(44, 30, 3.0), name(0.0, 2): run(22, 15, 3.5), name(0.5, 1): run(0, 30, 3.0)}
    plain, half = ordinary_answers.mixtures({"runs": runs})
    assert (plain.share, plain.seeds, plain.drift[0], plain.form[0], plain.loss) == (0.0, 2, 0.75, 0.75, 3.25)
    assert plain.drift[1:] == evaluation.interval(0.75, 88) and plain.form[1:] == evaluation.interval(0.75, 60)
    assert (half.share, half.seeds, half.drift[0], half.form[0], half.kept) == (0.5, 1, 0.0, 1.0, 0.1)
    helps = "Cause: It is.\nFix: Do.\nIf not: Ask."
    runs[name(0.0, 0)]["after"]["answers"] = [helps] * 12 + [say] * 4 + [helps] * 11 + [say] * 33
    (apart,) = ordinary_answers.mixtures({"runs": {name(0.25, 0, "helpdesk"): runs[name(0.0, 0)]}}, "helpdesk")
    assert (apart.share, apart.form[0], apart.drift[0]) == (0.25, 0.75, 0.25)
