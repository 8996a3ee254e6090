"""Lesson 17's room: who is preferred, the pictures' words, and the replay with a recording and without."""

import pytest
import torch

from lora_lessons import preferences, tasks
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


def test_a_short_answer_may_be_likelier_as_a_whole_and_not_per_token():
    def chat(count):
        return tasks.Encoded(torch.zeros(count + 2), torch.tensor([tasks.IGNORED] * 2 + [1] * count))

    pairs = [tasks.Preference(chat(2), chat(10)), tasks.Preference(chat(4), chat(5))]
    reference = torch.tensor([-8.0, -8.0]), torch.tensor([-20.0, -20.0])
    assert measured.likelier(reference, pairs) == (1.0, 0.5)


def test_a_dot_above_the_diagonal_is_a_pair_that_was_won():
    figure, words = pictures.moved([1.0, -2.0, -3.0], [-4.0, -1.0, -9.0])
    assert "2 of 3 held-out pairs" in words and "by -1.3 nats" in words and "by -4.7" in words
    (dots,) = figure.axes[0].collections
    assert dots.get_offsets().tolist() == [[-4.0, 1.0], [-1.0, -2.0], [-9.0, -3.0]]


def run(r, seed, last):
    state = {"share": 0.25, "low": 0.1, "high": 0.5, "words": 40.0, "perplexity": 10.0, "answers": ["No."]}
    after = state | {"share": 0.75, "words": 9.0, "perplexity": 11.0}
    return {"r": r, "seed": seed, "rewards": [0.1, last], "before": state, "after": after, "kl": 0.2}


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)
    return tmp_path / f"{rewards.NAME}.json"


def test_without_a_recording_the_replay_says_how_to_make_one(kept, capsys):
    measured.replay_rewards()
    assert f"Not recorded yet. To record it, in pieces if you like: {rewards.COMMAND}" in capsys.readouterr().out


def test_a_recording_is_replayed_a_line_a_run(kept, capsys, monkeypatch):
    shown = []
    monkeypatch.setattr(measured, "show", lambda *picture: shown.append(picture))
    runs = {f"{r} {seed}": run(r, seed, 0.5 + r / 20) for r in rewards.RANKS for seed in rewards.SEEDS}
    recordings.keep(rewards.NAME, {"settings": rewards.settings(), "runs": runs})
    measured.replay_rewards()
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 6 and said[0] == (
        "r = 1, seed 0: 25% → 75% of answers earn the reward; words 40 → 9; perplexity × 1.10"
    )
    assert "r = 1: from 0.10 to 0.55; r = 8: from 0.10 to 0.90" in shown[0][1]
