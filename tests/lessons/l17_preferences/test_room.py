"""Lesson 17's room: who is preferred, the pictures' words, and the replay without a recording."""

import pytest
import torch

from lora_lessons import preferences
from lora_lessons.course import exercises
from lora_lessons.experiments import recordings, rewards
from lora_lessons.lessons.l17_preferences import measured, pictures


def test_what_the_course_wrote_solves_its_own_exercises():
    for id, made in (
        ("17.1", preferences.answer_logprobs),
        ("17.2", preferences.dpo_loss),
        ("17.3", preferences.reference_of),
        ("17.4", preferences.push),
    ):
        assert exercises.judge(id, made) == ("solved", exercises.judge(id, made)[1])


def test_the_accuracy_is_a_share_of_pairs_with_its_interval_and_a_tie_does_not_count():
    zero = torch.zeros(4)
    policy = torch.tensor([1.0, -1.0, 0.0, -5.0]), torch.tensor([0.0, -2.0, 0.0, -1.0])
    share, low, high = measured.accuracy(policy, (zero, zero))
    assert share == 0.5 and low == pytest.approx(0.15, abs=0.01) and high == pytest.approx(0.85, abs=0.01)


def test_a_dot_above_the_diagonal_is_a_pair_that_was_won():
    figure, words = pictures.moved([1.0, -2.0, -3.0], [-4.0, -1.0, -9.0])
    assert "2 of 3 held-out pairs" in words and "by -1.3 nats" in words and "by -4.7" in words
    (dots,) = figure.axes[0].collections
    assert dots.get_offsets().tolist() == [[-4.0, 1.0], [-1.0, -2.0], [-9.0, -3.0]]


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)


def test_at_rank_8_the_reward_moved_the_model_less_in_both_seeds_and_at_rank_1_not():
    """Lesson 17 says so of the everyday questions and of the task's own."""
    runs = recordings.recorded(rewards.NAME)["runs"].values()
    far = {(run["arm"], run["seed"]): run["kl"] for run in runs}
    less = {
        arm: [
            of < written
            for seed in (0, 1)
            for of, written in zip(far[arm, seed].values(), far[rewards.WRITTEN.name, seed].values(), strict=True)
        ]
        for arm in ("r = 8", "r = 1")
    }
    assert less == {"r = 8": [True] * 4, "r = 1": [False, False, True, True]}


def test_without_a_recording_the_replay_says_how_to_make_one(kept, capsys):
    assert measured.replay_rewards() == {}
    measured.said({})
    assert f"Not recorded yet. To record it, in pieces if you like: {rewards.COMMAND}" in capsys.readouterr().out
