"""Held-out loss and perplexity are what the model's own loss says they are."""

import math

import pytest
import torch

from lora_lessons import evaluation, models, tasks


def test_held_out_loss_equals_the_models_own_loss(tiny_model):
    generator = torch.Generator().manual_seed(0)
    examples = []
    for length in (6, 9, 9):
        ids = torch.randint(1, 128, (length,), generator=generator)
        examples.append(tasks.Encoded(ids, torch.cat([torch.full((3,), tasks.IGNORED), ids[3:]])))
    whole = tiny_model(**tasks.collate(examples, 0)).loss.item()
    for batch_size in (1, 2, 3):
        assert evaluation.held_out_loss(tiny_model, examples, batch_size) == pytest.approx(whole, rel=1e-5)
    rounded = evaluation.held_out_loss(tiny_model, examples, autocast=True)
    assert rounded != whole and rounded == pytest.approx(whole, rel=0.01)


def test_perplexity_of_a_blind_model_is_the_vocabulary(base_fp32, tiny_model):
    class Blind(torch.nn.Module):
        device = torch.device("cpu")

        def forward(self, ids):
            return type("Out", (), {"logits": torch.zeros(*ids.shape, 49152)})

    base = models.Base(Blind(), base_fp32.tokenizer, "blind")
    assert evaluation.perplexity(base, "A short text about rivers.") == pytest.approx(49152, rel=1e-4)


def test_perplexity_is_exp_of_the_mean_loss_and_refuses_nothing(base_fp32):
    text = "The tide comes in twice a day, and nobody on the quay looks up."
    ids = base_fp32.tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        expected = math.exp(base_fp32.model(ids, labels=ids).loss.item())
    assert evaluation.perplexity(base_fp32, text) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match="at least two tokens"):
        evaluation.perplexity(base_fp32, "")
