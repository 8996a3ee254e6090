"""The recording of a reward: what a run holds, and that recording goes on where it was stopped."""

import pytest
from tiny import make_tiny_base

from lora_lessons import evaluation, lora, models
from lora_lessons.experiments import recordings, rewards


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)


def test_a_run_keeps_what_was_earned_said_and_forgotten(monkeypatch):
    base = make_tiny_base()
    monkeypatch.setattr(models, "load", lambda **_: base)
    monkeypatch.setattr(evaluation, "perplexity", lambda *_: 12.0)
    for name, small in {"STEPS": 2, "GROUP": 3, "LONGEST": 6, "ASKED": 4, "EVERYDAY": 2}.items():
        monkeypatch.setattr(rewards, name, small)
    found = rewards.one_run(2, 1)
    assert (found["r"], found["seed"], len(found["rewards"]), len(found["asked"])) == (2, 1, 2, 4)
    assert found["trainable"] == lora.trainable_parameters(base.model) > 0
    assert all(layer.r == 2 and layer.scaling == 2 for _, layer in lora.lora_layers(base.model))
    for when in ("before", "after"):
        state = found[when]
        assert len(state["answers"]) == 4 and state["low"] <= state["share"] <= state["high"]
        assert state["perplexity"] == 12.0 and state["words"] > 0
    assert 0 <= found["kl"] < 5


def test_recording_goes_on_where_it_was_stopped_and_begins_anew_under_other_settings(monkeypatch):
    made = []

    def one(r, seed):
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append((r, seed))
        return {"r": r, "seed": seed, "rewards": [0.5]}

    assert rewards.recorded() is None
    monkeypatch.setattr(rewards, "one_run", one)
    with pytest.raises(KeyboardInterrupt):
        rewards.record()
    assert len(rewards.recorded()["runs"]) == 4
    monkeypatch.setattr(rewards, "one_run", lambda r, seed: made.append((r, seed)) or {"r": r, "seed": seed})
    assert len(rewards.record()) == 6 and made == [(r, seed) for r in rewards.RANKS for seed in rewards.SEEDS]
    monkeypatch.setattr(rewards, "STEPS", 3)
    rewards.record()
    assert len(made) == 12
