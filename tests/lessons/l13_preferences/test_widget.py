"""The β lab: what it draws is what was recorded, and a β without a run is refused."""

import pytest

from lora_lessons.experiments import recorded
from lora_lessons.lessons.l13 import widget


def test_a_ring_stands_at_what_was_recorded_of_each_beta():
    scene, runs = widget.beta_lab_scene(0.1), recorded("lesson_13_betas").sort_values("beta")
    assert scene.stops == runs.beta.tolist()
    rings = [mark.columns["y"] for mark in scene.marks if mark.kind == "dot"]
    forgotten = runs["after.perplexity"] / runs["before.perplexity"]
    assert rings == [column.tolist() for column in (100 * runs.accuracy, runs["after.words"], forgotten)]
    assert f"by {runs.chosen.iloc[0]:+.0f} nats" in scene.words[0] and "perplexity ÷ the base's 1," in scene.words[0]


def test_a_beta_that_was_not_recorded_is_refused_with_those_that_were():
    with pytest.raises(ValueError, match=r"β = 0.2 was not recorded: choose one of 0.01, 0.03, 0.1, 0.3, 1\."):
        widget.beta_lab_scene(0.2)
