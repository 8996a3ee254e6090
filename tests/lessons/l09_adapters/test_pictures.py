"""The pictures of lesson 09 draw what they are given, and an interval holds its share."""

import pytest

from lora_lessons import evaluation
from lora_lessons.experiments import shipped_adapters, survives
from lora_lessons.lessons.l09_adapters import measured, pictures


def test_each_picture_draws_what_it_is_given():
    cards = {name: shipped_adapters.recorded_card(name) for name in shipped_adapters.shipped()}
    rows = [row for row in survives.recorded()["rows"] if "failed" not in row]
    drawn = [
        pictures.cards(cards, 40, 12),
        pictures.prompts(measured.shares_by_prompt(), 40),
        pictures.along_the_scale([-1, 0, 1], [9.0, 4.0, 3.0], [6.0, 4.0, 4.1]),
        pictures.left_by_size({1 / 4: 0.5, 1 / 16: 0.1, 1: 0.9, 4: 1.0}, {1 / 16: 0.1, 1: 0.9, 4: 1.0}),
        pictures.survives(rows, survives.TITLES),
        pictures.merge_paths({"unmerged": (0.0, 60.0), "merged into 4 bits": (1.5, 56.0)}),
    ]
    assert [len(figure.axes) for figure in drawn] == [3, 1, 1, 1, 2, 1]
    assert len(drawn[4].axes[0].get_yticklabels()) == len(rows) + len(pictures.GROUPS)


def test_an_interval_holds_its_share_and_narrows_with_more_trials():
    assert evaluation.interval(0, 12) == (0, pytest.approx(0.2425, abs=1e-3))
    low, high = evaluation.interval(0.75, 40)
    assert (low, high) == (pytest.approx(0.598, abs=2e-3), pytest.approx(0.858, abs=2e-3))
    with pytest.raises(ValueError, match="trials"):
        evaluation.interval(0.5, 0)
