"""Greedy answers: the likeliest token each time, alone or in a batch, whatever mode the model was in."""

import pytest
import torch
from tiny import make_tiny_base

from lora_lessons import models
from lora_lessons.errors import ModelError

QUESTIONS = ["Why?", "What is a tide, and who looks after the lamp?"]


def by_hand(base, question, tokens):
    """The likeliest token after what there is, `tokens` times."""
    turns = [{"role": "user", "content": question}]
    ids = base.tokenizer(base.tokenizer.apply_chat_template(turns, add_generation_prompt=True))["input_ids"]
    begun = len(ids)
    while len(ids) < begun + tokens and ids[-1] != base.tokenizer.eos_token_id:
        with torch.no_grad():
            ids.append(int(base.model(torch.tensor([ids])).logits[0, -1].argmax()))
    return base.tokenizer.batch_decode([torch.tensor(ids[begun:])])[0].strip()


def test_an_answer_is_the_likeliest_token_after_the_other_and_dropout_is_off():
    base = make_tiny_base()
    for block in base.model.model.layers:
        block.self_attn.attention_dropout = 0.5
    expected = [by_hand(base, question, 24) for question in QUESTIONS]
    assert len(set(expected)) == 2
    for training in (False, True):
        base.model.train(training)
        assert models.answers(base, QUESTIONS, 24) == expected
        assert models.chat(base, QUESTIONS[1], 24) == expected[1]
        assert base.model.training == training


@pytest.mark.parametrize(("setting", "value"), [("output_hidden_states", "("), ("num_beams", "x")])
def test_a_setting_of_another_kind_is_named_with_its_file(setting, value):
    base = make_tiny_base()
    setattr(base.model.generation_config, setting, value)
    with pytest.raises(ModelError, match=r"settings in its generation_config\.json"):
        models.answers(base, QUESTIONS, 2)
