"""Layers that work, as people write them: the check takes each of them, and lesson 03 trains it."""

import math
import runpy
from pathlib import Path

import pytest
import torch

from lora_lessons import lora
from lora_lessons.course.exercises import judge
from lora_lessons.lessons import all_exercises
from lora_lessons.lessons.l03_train_lora import by_hand

all_exercises()


ANSWERS = runpy.run_path(str(Path(__file__).with_name("wrong_answers.py")))
layer, AS_PEFT = ANSWERS["_layer"], ANSWERS["_AS_PEFT"]
# a frozen copy of W in place of the layer itself
COPIED = """
        W, b = base_layer.weight.detach().clone(), base_layer.bias
        self.W, self.b = nn.Parameter(W, requires_grad=False), None if b is None else b.detach().clone()
        del self.base_layer"""
WORKS = {
    "small": layer(A="nn.Parameter(0.02 * torch.randn(r, k))"),
    # as PEFT's init_lora_weights="gaussian" draws it
    "by rank": layer(A="nn.Parameter(torch.randn(r, k) / r)"),
    "Xavier": layer(more="nn.init.xavier_uniform_(self.lora_A)"),
    # what somebody used to NumPy writes
    "one-sided": layer(A="nn.Parameter(torch.rand(r, k) / k**0.5)"),
    "as PEFT": layer(**AS_PEFT),
    "summed first": layer(
        forward="torch.nn.functional.linear(x, self.base_layer.weight + self.scaling * self.lora_B @ self.lora_A, "
        "self.base_layer.bias)"
    ),
    "copied": layer(
        more=COPIED,
        forward="torch.nn.functional.linear(x, self.W, self.b) + x @ self.lora_A.T @ self.lora_B.T * self.scaling",
    ),
    # ΔW = A·B, as it is written for row vectors
    "for rows": layer(
        A="nn.Parameter(torch.randn(k, r) / math.sqrt(k))",
        B="nn.Parameter(torch.zeros(r, d))",
        forward="self.base_layer(x) + x @ self.lora_A @ self.lora_B * self.scaling",
    ),
}


@pytest.mark.parametrize("name", WORKS)
def test_a_layer_that_works_is_right_and_trains_in_lesson_03(name, tiny_model):
    exec(WORKS[name], scope := {"math": math, "torch": torch, "nn": torch.nn})
    state, sentence = judge("02.1", scope["MyLoRA"])
    assert state == "solved", sentence
    assert ("your A is k×r and your B is r×d" in sentence) == (name == "for rows")
    assert ("have one sign" in sentence) == (name == "one-sided")
    ids = torch.arange(3, 11)[None]
    by_hand.attach(tiny_model, scope["MyLoRA"], r=2, lora_alpha=4)
    by_hand.train_by_hand(
        tiny_model, [{"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}] * 2, 1e-2
    )
    with torch.no_grad():
        logits = tiny_model(ids).logits
        by_hand.as_the_courses(tiny_model)
        assert len(list(lora.lora_layers(tiny_model))) == 14
        assert torch.allclose(tiny_model(ids).logits, logits, atol=1e-5)
