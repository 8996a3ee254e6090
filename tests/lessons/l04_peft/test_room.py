"""What lesson 04 compares and counts, reads aloud and draws; and what its side trip rounds."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model

from lora_lessons import lora
from lora_lessons.lessons.l04_peft import agreement, pictures

SETTINGS = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "down_proj"]}


@pytest.fixture
def both(tiny_model):
    """Ours and PEFT's with the same A and B."""
    ours, other = tiny_model, copy.deepcopy(tiny_model)
    lora.attach(ours, **SETTINGS)
    peft_model = get_peft_model(other, LoraConfig(task_type="CAUSAL_LM", **SETTINGS))
    agreement.fill(ours, agreement.twins(ours, peft_model), seed=0)
    return ours, peft_model


@pytest.fixture
def batch():
    ids = torch.arange(3, 11)[None]
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}


def test_equal_models_have_no_gap_and_a_changed_number_has_its_own(both, batch):
    ours, peft_model = both
    assert len(agreement.twins(*both)) == 2 * 2 * 2
    found = agreement.differences(*both, batch)
    assert set(found) == {"logits", "gradients", "weights"} and max(found.values()) < 1e-5
    with torch.no_grad():
        agreement.twins(*both)[0][0][0, 0] += 0.5
    found = agreement.differences(*both, batch)
    assert found["weights"] == pytest.approx(0.5) and found["logits"] > 1e-5 and found["gradients"] > 1e-6


def test_merged_models_are_compared_by_every_weight(both, batch):
    ours, peft_model = both
    lora.merge(ours)
    plain = peft_model.merge_and_unload()
    ours.requires_grad_(False), plain.requires_grad_(False)
    found = agreement.differences(ours, plain, batch)
    assert set(found) == {"logits", "weights"} and max(found.values()) < 1e-5
    next(plain.parameters()).data[0, 0] += 1.0
    assert agreement.differences(ours, plain, batch)["weights"] == pytest.approx(1.0)


def test_logits_without_padding(both, batch):
    batch["attention_mask"][0, -3:] = 0
    assert agreement.logits(both[0], batch).shape == (5, 128)


def test_the_picture_has_both_names_of_each_part():
    figure, words = pictures.two_names({part: (f"our {part}", f"their {part}") for part in ("W", "A", "B", "scale")})
    assert {"our W", "their W"} <= {text.get_text() for text in figure.axes[0].texts}
    assert "their A in PEFT's" in words
