"""Held-out loss and perplexity are what the model's own loss says they are."""

import math

import pytest
import torch

from lora_lessons import evaluation, lora, models, tasks
from lora_lessons.course import scorecard
from lora_lessons.errors import ModelError
from lora_lessons.tasks import scores


def conversations(*lengths):
    """Random tokens, of which all but the first three are supervised."""
    draw = torch.Generator().manual_seed(0)
    ids = [torch.randint(1, 128, (length,), generator=draw) for length in lengths]
    return [tasks.Encoded(one, torch.cat([torch.full((3,), tasks.IGNORED), one[3:]])) for one in ids]


def test_held_out_loss_equals_the_models_own_loss(tiny_model):
    examples = conversations(6, 9, 9)
    whole = tiny_model(**tasks.collate(examples, 0)).loss.item()
    for batch_size in (1, 2, 3):
        assert evaluation.held_out_loss(tiny_model, examples, batch_size) == pytest.approx(whole, rel=1e-5)
    rounded = evaluation.held_out_loss(tiny_model, examples, autocast=True)
    assert rounded != whole and rounded == pytest.approx(whole, rel=0.01)


def test_a_packed_row_is_worth_what_its_conversations_are(tiny_model):
    examples = conversations(6, 9, 7)
    packed, used = tasks.pack(examples, 16), tiny_model.config.use_cache
    assert len(packed) == 2
    for measure in (evaluation.held_out_loss, evaluation.answer_logits):
        torch.testing.assert_close(
            torch.as_tensor(measure(tiny_model, packed)), torch.as_tensor(measure(tiny_model, examples))
        )
    assert tiny_model.config.use_cache == used


def test_without_an_answer_there_is_no_held_out_loss(tiny_model):
    untaught = tasks.Encoded(torch.arange(1, 9), torch.full((8,), tasks.IGNORED))
    for examples in ([], [untaught]):
        with pytest.raises(ValueError, match="no token .* supervised"):
            evaluation.held_out_loss(tiny_model, examples)


def test_nothing_is_measured_with_dropout_on(tiny_model):
    for block in tiny_model.model.layers:
        block.self_attn.attention_dropout = 0.5
    ids = torch.arange(1, 25)
    examples = [tasks.Encoded(ids, ids)]
    base = models.Base(tiny_model, lambda text, **_: {"input_ids": ids[None]}, "tiny")
    for measure in (
        lambda: evaluation.held_out_loss(tiny_model, examples),
        lambda: evaluation.perplexity(base, ""),
        lambda: evaluation.answer_logits(tiny_model, examples).sum(),
    ):
        asleep = measure()
        tiny_model.train()
        assert measure() == asleep and tiny_model.training
        tiny_model.eval()
    tiny_model.train()
    awake = {tiny_model(ids[None], labels=ids[None]).loss.item() for _ in range(3)}
    assert len(awake) == 3, "with dropout on, no two measurements are the same"


@torch.no_grad()
def test_what_is_no_number_is_no_score_and_its_weight_is_named(tiny_model):
    ids = torch.arange(1, 25)
    base = models.Base(tiny_model, lambda text, **_: {"input_ids": ids[None]}, "tiny")
    for make, why in (
        (
            lambda weight: weight[0].fill_(torch.inf),
            r"because model\.layers\.0\.mlp\.up_proj\.weight holds such numbers",
        ),
        (lambda weight: weight.fill_(3e38), "though all weights are finite.*in fp32"),
    ):
        make(tiny_model.model.layers[0].mlp.up_proj.weight)
        for score, measure, what in (
            ("held-out loss", evaluation.held_out_loss, (tiny_model, [tasks.Encoded(ids, ids)])),
            ("logits", evaluation.answer_logits, (tiny_model, [tasks.Encoded(ids, ids)])),
            ("perplexity", evaluation.perplexity, (base, "")),
        ):
            with pytest.raises(ModelError, match=f"{score} became NaN or infinity, {why}"):
                measure(*what)


def test_perplexity_of_a_blind_model_is_the_vocabulary_and_of_no_text_there_is_none(base_fp32):
    class Blind(torch.nn.Module):
        device = torch.device("cpu")

        def forward(self, ids):
            return type("Out", (), {"logits": torch.zeros(*ids.shape, 49152)})

    base = models.Base(Blind(), base_fp32.tokenizer, "blind")
    assert evaluation.perplexity(base, "A short text about rivers.") == pytest.approx(49152, rel=1e-4)
    with pytest.raises(ValueError, match="at least two tokens"):
        evaluation.perplexity(base_fp32, "")


@pytest.mark.parametrize("window, some", [(512, 1), (6, 3)])
def test_perplexity_is_exp_of_the_mean_loss_over_tokens_however_they_fall_into_windows(base_fp32, window, some):
    text = "The tide comes in twice a day, and nobody on the quay looks up."
    windows = base_fp32.tokenizer(text, return_tensors="pt")["input_ids"][0].split(window)
    assert len(windows) == some and 1 < len(windows[-1]) < window, "the last one is short"
    with torch.no_grad():
        losses = [(base_fp32.model(one[None], labels=one[None]).loss.item(), len(one) - 1) for one in windows]
    expected = math.exp(sum(loss * n for loss, n in losses) / sum(n for _, n in losses))
    assert evaluation.perplexity(base_fp32, text, window=window) == pytest.approx(expected, rel=1e-4)


def test_a_score_counts_rules_kept_and_strays(base_fp32, monkeypatch):
    """The answers are given, so that the shares are known; the losses are the model's own."""
    task = tasks.load_task("persona")
    good = task.held_out[0]["messages"][-1]["content"]
    told = [good, good, good, "Bread.", good, "Yes.", "No.", "Lisbon."]
    monkeypatch.setattr(models, "answers", lambda _, prompts, *__, **___: told[: len(prompts)])
    found = evaluation.score(base_fp32, task, limit=4, general="The tide comes in twice a day.")
    assert (found.kept, found.drift) == (0.75, 0.25)
    drawn = evaluation.drawn(task, 4)
    examples = [tasks.encode(base_fp32.tokenizer, example) for example in drawn]
    assert found.loss == evaluation.held_out_loss(base_fp32.model, examples)
    assert found.general == evaluation.perplexity(base_fp32, "The tide comes in twice a day.")


def test_the_scorecard_says_what_was_gained_forgotten_and_paid_and_is_shown_beside_the_base(tiny_model):
    lora.attach(tiny_model, r=2)
    before, after = evaluation.Score(5.0, 0.0, 40.0, 0.0), evaluation.Score(3.0, 0.5, 50.0, 0.25)
    card = evaluation.scorecard(tiny_model, "persona", before, after, 12.5)
    assert card.trainable == lora.trainable_parameters(tiny_model) and card.megabytes == 2e-6 * card.trainable
    assert (card.gain, card.forgetting, card.seconds) == (2.0, 1.25, 12.5)
    shown = scorecard(card).data
    for cell in ("persona", ">5.00<", ">3.00<", ">50%<", ">40.0<", ">50.0<", ">25%<", f">{card.trainable:,}<", ">12<"):
        assert cell in shown
    assert "in this lesson" in shown and "in this lesson" in scorecard().data and "persona" not in scorecard().data
    with pytest.raises(KeyError, match="scorecard.nothing was not measured"):
        scorecard("scorecard.nothing")


def test_divergence_is_zero_for_equals_and_ln2_for_a_coin_told_heads():
    logits = torch.randn(5, 7)
    assert evaluation.divergence(logits, logits + 3) == pytest.approx(0, abs=1e-9)
    sure, coin = torch.tensor([[60.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    assert evaluation.divergence(sure, coin) == pytest.approx(math.log(2), rel=1e-6)


def test_answer_logits_are_those_that_choose_the_supervised_tokens(tiny_model):
    ids = torch.arange(1, 9)
    one = tasks.Encoded(ids, torch.cat([torch.full((5,), tasks.IGNORED), ids[5:]]))
    found = evaluation.answer_logits(tiny_model, [one, one])
    assert found.shape == (6, 128)
    loss = torch.nn.functional.cross_entropy(found[:3], ids[5:]).item()
    assert loss == pytest.approx(evaluation.held_out_loss(tiny_model, [one]), rel=1e-5)


@pytest.mark.parametrize("name", ["persona", "plain_language", "code_style", "strict_json"])
def test_a_tasks_own_answers_have_its_form_and_plain_ones_do_not(name):
    task = tasks.load_task(name)
    assert all(scores.looks_like(name, e["messages"][-1]["content"]) for e in task.train + task.held_out)
    for answer in (
        "Lisbon.",
        "Saturn is a planet with rings. It is far away. It has many moons.",
        "",
        "A magnet pulls iron.",
    ):
        assert not scores.looks_like(name, answer)


def test_an_interval_holds_its_share_and_narrows_with_more_trials():
    assert evaluation.interval(0, 12) == (0, pytest.approx(0.2425, abs=1e-3))
    low, high = evaluation.interval(0.75, 40)
    assert (low, high) == (pytest.approx(0.598, abs=2e-3), pytest.approx(0.858, abs=2e-3))
    with pytest.raises(ValueError, match="trials"):
        evaluation.interval(0.5, 0)
