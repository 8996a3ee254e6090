"""The β lab: what it draws is what was recorded, and a β without a run is refused."""

import pytest

from lora_lessons.experiments import betas, recordings
from lora_lessons.lessons.l17_preferences import widget


def run(beta, seed, words):
    before = {"words": 50.0, "perplexity": 10.0, "answers": ["Well."]}
    after = {"words": words, "perplexity": 12.0 + seed, "answers": ["Six minutes."]}
    return {
        "beta": beta,
        "seed": seed,
        "accuracy": 0.75,
        "chosen": 3.0,
        "rejected": -70.0,
        "asked": ["How long?"],
        "before": before,
        "after": after,
    }


RECORDING = {"runs": {f"{b} {s}": run(b, s, 8 + 100 * b + s) for s in (0, 1) for b in (0.3, 0.1)}}


def test_each_beta_stands_at_the_mean_of_its_seeds():
    scene = widget.beta_lab_scene(0.1, RECORDING)
    assert scene.stops == [0.1, 0.3]
    rings = [mark.columns["y"] for mark in scene.marks if mark.kind == "dot"]
    assert rings == [[75.0, 75.0], [18.5, 38.5], [1.25, 1.25]]
    assert scene.words[0] == (
        "β = 0.1, 2 seeds: held-out pairs preferred 75%, words per answer 18, perplexity ÷ the base's 1.25. The chosen "
        "answers moved by +3 nats, the rejected ones by -70. Asked “How long?”, it says: “Six minutes.”"
    )


def test_a_beta_that_was_not_recorded_is_refused_with_those_that_were():
    with pytest.raises(ValueError, match=r"β = 0.2 was not recorded: choose one of 0.1, 0.3\."):
        widget.beta_lab_scene(0.2, RECORDING)


def test_without_a_recording_it_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match=f"To record it, in pieces if you like: {betas.COMMAND}"):
        widget.beta_lab()
