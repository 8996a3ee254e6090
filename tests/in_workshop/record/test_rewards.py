"""The recordings of lesson 13: what a run holds, and which runs there are."""

import pytest
from tiny import make_tiny_base

from lora_lessons import evaluation, lora, models
from lora_lessons.experiments import recordings
from workshop.record import betas, rewards


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)


@pytest.fixture
def base(monkeypatch):
    made = make_tiny_base()
    monkeypatch.setattr(models, "load", lambda **_: made)
    monkeypatch.setattr(evaluation, "perplexity", lambda *_: 12.0)
    small = {"STEPS": 4, "GROUP": 3, "LONGEST": 6, "ASKED": 4, "EVERYDAY": 2}
    for module, name in ((module, name) for module in (rewards, betas) for name in small):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, small[name])
    return made


def test_a_run_keeps_what_was_earned_said_and_forgotten(base):
    found = rewards.one_run(rewards.Arm("r = 2", 2, 1e-3), 1)
    assert (found["arm"], found["seed"], len(found["steps"]), len(found["asked"])) == ("r = 2", 1, 4, 4)
    assert found["trained"] == lora.trainable_parameters(base.model) > 0
    assert all(layer.r == 2 and layer.scaling == 8 for _, layer in lora.lora_layers(base.model))
    for when in ("before", "after"):
        state = found[when]
        assert len(state["answers"]) == 4 and state["low"] <= state["share"] <= state["high"]
        assert state["perplexity"] == 12.0 and state["words"] > 0
    assert set(found["kl"]) == {"everyday", "asked"} and all(0 <= kl < 5 for kl in found["kl"].values())


def test_every_weight_learns_without_an_adapter(base):
    found = rewards.one_run(rewards.Arm("every weight", None, 5e-5), 0)
    assert not list(lora.lora_layers(base.model))
    assert found["trained"] == sum(p.numel() for p in base.model.parameters())


def test_written_answers_are_learned_until_the_score_is_reached(base, monkeypatch):
    scores = iter([0.0, 0.1, 0.6, 0.6])  # before, at two looks, after
    monkeypatch.setattr(rewards, "_earning", lambda base, asked: (next(scores), ["."] * len(asked)))
    monkeypatch.setattr(rewards, "STEPS", 8)
    found = rewards.one_run(rewards.WRITTEN, 0, goal=0.5)
    assert len(found["steps"]) == 2 * rewards.LOOK
    assert found["steps"][-1] < found["steps"][0]


@pytest.mark.parametrize("rate, moves", [(betas.RATE, True), (1e-9, False)])
def test_a_preference_is_trained_against_the_base(base, rate, moves):
    found = betas.one_run(0.1, 0, rate)
    assert (abs(found["margin"]) > 1e-3) == moves
    assert abs(found["losses"][0] - 0.6931) < 1e-3
    assert abs(found["margin"] - (found["chosen"] - found["rejected"])) < 1e-4
    assert 0 <= found["accuracy"] <= 1 and len(found["after"]["answers"]) == 4


def test_every_run_is_made_once_and_the_written_one_until_it_earns_what_rank_8_earned(monkeypatch):
    made = []

    def one(arm, seed, goal=None):
        made.append((arm.name, seed, goal))
        return {"after": {"share": 0.5 + seed / 10}}

    monkeypatch.setattr(rewards, "one_run", one)
    arms = [(arm.name, None) for arm in rewards.REWARDED]
    expected = [
        (name, seed, goal) for seed in (0, 1, 2) for name, goal in (*arms, (rewards.WRITTEN.name, 0.5 + seed / 10))
    ]
    assert len(rewards.record()) == len(rewards.record()) == len(expected) and made == expected
    monkeypatch.setattr(rewards, "STEPS", 3)
    assert rewards.record() and made == 2 * expected, "under other settings it begins anew"
