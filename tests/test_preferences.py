"""Preferences and rewards on a tiny model: what is summed, what the reference is, and what training moves."""

import math

import pytest
import torch
from tiny import make_tiny_base

from lora_lessons import lora, preferences, tasks, training
from lora_lessons.tasks import IGNORED

PAIRS = [
    {"prompt": "Why?", "chosen": "So.", "rejected": "Well, it is like this."},
    {"prompt": "When?", "chosen": "Now or later.", "rejected": "That depends."},
    {"prompt": "Who?", "chosen": "You.", "rejected": "Somebody or other."},
]


@pytest.fixture
def base():
    made = make_tiny_base()
    lora.attach(made.model, r=4, lora_alpha=8)
    return made


@pytest.fixture
def pairs(base):
    return [tasks.encode_pair(base.tokenizer, pair) for pair in PAIRS]


@pytest.fixture
def before(base, pairs):
    """What the base gives the answers before any training."""
    return preferences.scored(base.model, pairs)


def settings(**more):
    return training.Settings(**{"steps": 12, "batch_size": 3, "learning_rate": 2e-2, "warmup": 0} | more)


def test_the_log_probability_of_an_answer_is_minus_its_tokens_losses_added_up(base, pairs):
    chosen, rejected = preferences.of_pairs(base.model, pairs)
    for found, one in [(chosen[1], pairs[1].chosen), (rejected[2], pairs[2].rejected)]:
        mean = base.model(input_ids=one.input_ids[None], labels=one.labels[None]).loss
        assert found.item() == pytest.approx(-mean.item() * int((one.labels != IGNORED).sum()), rel=1e-5)
    parts = preferences.scored(base.model, pairs, batch_size=2)
    assert torch.allclose(parts[0], chosen, atol=1e-5) and torch.allclose(parts[1], rejected, atol=1e-5)
    assert not parts[0].requires_grad


def test_the_reference_is_the_base_and_the_adapter_is_on_again_whatever_happens(base):
    ids = torch.tensor([[5, 6, 7]])
    bare = base.model(ids).logits
    for n, (_, layer) in enumerate(lora.lora_layers(base.model)):
        layer.lora_B.data.normal_()
        layer.scaling = 1.5 + n
    trained = base.model(ids).logits
    assert torch.equal(preferences.reference_of(base.model, lambda model: model(ids).logits), bare)
    with pytest.raises(RuntimeError), preferences.adapter_off(base.model):
        raise RuntimeError
    assert torch.equal(base.model(ids).logits, trained) and not torch.allclose(trained, bare)


def test_a_step_in_parts_or_with_checkpointing_is_the_same_step(base, pairs, before):
    start = {name: p.clone() for name, p in base.model.named_parameters() if p.requires_grad}
    ended = []
    for how in (
        {"batch_size": 3},
        {"batch_size": 1, "gradient_accumulation_steps": 3},
        {"batch_size": 3, "gradient_checkpointing": True},
    ):
        base.model.load_state_dict(start, strict=False)
        run = preferences.train_dpo(base.model, pairs, before, settings(steps=3, **how))
        trained = torch.cat([p.detach().flatten() for p in base.model.parameters() if p.requires_grad])
        ended.append(torch.cat([trained, torch.tensor(run.losses)]))
    assert torch.allclose(ended[0], ended[1], atol=1e-5) and torch.allclose(ended[0], ended[2], atol=1e-5)
    assert not base.model.training and not torch.allclose(
        ended[0][:-3], torch.cat([p.flatten() for p in start.values()])
    )


def test_a_matrix_without_a_gradient_stops_the_training(base, pairs, before):
    dead = torch.nn.Parameter(torch.ones(2))
    base.model.register_parameter("dead", dead)
    with pytest.raises(training.TrainingStopped, match="dead"):
        preferences.train_dpo(base.model, pairs, before, settings())


def test_the_learners_loss_trains_and_a_loss_that_is_not_finite_stops(base, pairs, before):
    with pytest.raises(training.TrainingStopped, match="at step 0"):
        preferences.train_dpo(
            base.model, pairs, before, settings(), loss_of=lambda policy, reference, beta: policy[0].sum() * math.nan
        )


def test_a_group_is_sampled_by_its_seed_and_hides_the_question(base):
    one, same, other = (preferences.sample(base, ["Why?"], 4, 30, seed)[0] for seed in (1, 1, 2))
    assert one.texts == same.texts != other.texts and len(set(one.texts)) > 1
    asked = [ord(letter) for letter in "user:Why?\x02assistant:"]
    for each in one.encoded:
        assert each.input_ids[: len(asked)].tolist() == asked and (each.labels[: len(asked)] == IGNORED).all()
        answer = each.labels[len(asked) :].tolist()
        assert IGNORED not in answer and len(answer) <= 30 and 2 not in answer[:-1]
        assert (answer[-1] == 2) == (len(answer) < 30)
    assert any(each.labels[-1] != 2 for each in one.encoded), "an answer that is cut off has no end"


def test_each_step_draws_answers_of_its_own(base):
    drawn = []
    preferences.train_on_reward(  # no reward, so the model does not move
        base, ["Why?"], lambda text: drawn.append(text) or 0.0, settings(steps=2, batch_size=1), 2, 30
    )
    assert drawn[:2] != drawn[2:] and len(drawn) == 4


def test_a_question_is_answered_alike_alone_and_beside_a_longer_one(base):
    base.model.lm_head.weight.data *= 1e4  # one token has all the probability
    both = preferences.sample(base, ["Why?", "And how should I do that?"], 2, 12, seed=3)
    for question, group in zip(["Why?", "And how should I do that?"], both, strict=True):
        (alone,) = preferences.sample(base, [question], 2, 12, seed=4)
        assert group.texts == alone.texts
        assert torch.equal(group.encoded[0].labels, alone.encoded[0].labels)
    assert both[0].texts != both[1].texts


def test_a_reward_is_earned_more_often_after_training(base):
    def late(text):
        return sum(letter >= "a" for letter in text) / 12

    base.model.lm_head.weight.data *= 20  # a random head can hardly prefer a token
    run = preferences.train_on_reward(
        base, ["Why?", "When?"], late, settings(steps=15, batch_size=2), group=16, max_new_tokens=12
    )
    first, last = sum(run.losses[:3]) / 3, sum(run.losses[-3:]) / 3
    assert last > 1.5 * first > 0


@pytest.mark.parametrize(
    "answer, earned",
    [
        ("Six minutes.", 1),
        ("", 0),
        (" ", 0),
        ("Six minutes", 0),
        ("word " * 11 + "end.", 1),
        ("word " * 12 + "end.", 0),
    ],
)
def test_a_brief_answer_is_a_whole_sentence_of_twelve_words_at_most(answer, earned):
    assert preferences.brief(answer) == earned
