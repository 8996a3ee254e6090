"""ASHA at the rungs: who may go on, who is stopped, and what it would have saved of the recorded sweep."""

import pytest

from lora_tools.cluster.ray import Referee, rungs


@pytest.mark.parametrize(
    "steps, at", [(1, []), (2, [1]), (3, [1, 2]), (24, [6, 12]), (100, [25, 50]), (30, [7, 14, 28])]
)
def test_the_rungs_are_a_quarter_and_its_doubles(steps, at):
    assert rungs(steps) == at


def test_a_run_goes_on_while_it_is_within_the_better_half_of_those_before():
    referee = Referee(24)
    assert [referee.may_take("first", 0, [3.0] * taken) for taken in (0, 3, 6, 12, 24)] == [6, 6, 12, 24, 24]
    assert referee.may_take("worse", 0, [4.0] * 6) == 0
    assert referee.may_take("better", 0, [2.0] * 6) == 12
    assert referee.may_take("worse", 0, [4.0] * 6) == 0, "asked again, as by a run whose worker was killed"
    assert referee.may_take("late", 0, [2.0] * 6 + [5.0] * 6) == 0, "good at one rung, bad at the next"
    assert referee.may_take("another seed", 1, [9.0] * 6) == 12, "its examples are others"
    assert referee.may_take("trained already", 0, [9.0] * 24) == 24
