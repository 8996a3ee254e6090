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


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)


def run(arm, seed, last):
    state = {"share": 0.25, "words": 40.0, "perplexity": 10.0, "answers": ["Long"]}
    after = state | {"share": 0.75, "words": 9.0, "perplexity": 11.0 + seed, "answers": ["Yes."]}
    written = arm == rewards.WRITTEN.name
    return {"arm": arm, "asked": ["How?"], "seed": seed, "written": written, "steps": [0.1, last], "before": state, "after": after, "kl": {"everyday": 0.2}}  # fmt: skip


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


def test_a_recording_is_replayed_a_line_a_way(kept, capsys, monkeypatch):
    shown, noted = [], {}
    monkeypatch.setattr(measured, "show", lambda *picture: shown.append(picture))
    monkeypatch.setattr(measured, "record", lambda key, value, unit: noted.update({key: value}))
    arms = [arm.name for arm in (*rewards.REWARDED, rewards.WRITTEN)]
    runs = {f"{arm} {seed}": run(arm, seed, 0.5 + n / 10) for n, arm in enumerate(arms) for seed in range(3)}
    recordings.keep(rewards.NAME, {"runs": runs})
    measured.record_rewards(replayed := measured.replay_rewards())
    when, *said = capsys.readouterr().out.splitlines()
    measured.said(replayed)
    assert capsys.readouterr().out == (
        "Q: How?\nbase: Long\nr = 1: Yes.\nr = 8: Yes.\nevery weight: Yes.\nwritten answers, r = 8: Yes.\n\n"
    )
    assert when.startswith("Recorded on ") and len(said) == 4
    assert (
        said[0]
        == "r = 1: 25% → 75% of greedy answers to held-out questions earn the point, 9 words each; perplexity × 1.20"
    )
    assert "r = 1 (3 seeds): 0.20 nats from the base, mean reward in training from 0.10 to 0.50; " in shown[0][1]
    assert shown[0][1].endswith("written answers, r = 8 (3 seeds): 0.20 nats from the base.")
    assert noted["reward.r8.earned"] == 0.75 and noted["reward.written.forgetting"] == pytest.approx(1.2)
