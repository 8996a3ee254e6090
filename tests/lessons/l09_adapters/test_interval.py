"""The interval beside every share of answers holds the share."""

import pytest

from lora_lessons import evaluation


def test_an_interval_holds_its_share_and_narrows_with_more_trials():
    assert evaluation.interval(0, 12) == (0, pytest.approx(0.2425, abs=1e-3))
    low, high = evaluation.interval(0.75, 40)
    assert (low, high) == (pytest.approx(0.598, abs=2e-3), pytest.approx(0.858, abs=2e-3))
    with pytest.raises(ValueError, match="trials"):
        evaluation.interval(0.5, 0)
