"""Layers that work, as people write them: the check takes each of them, and lesson 03 trains it."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lora_lessons import lora
from lora_lessons.course.exercises import judge
from lora_lessons.lessons import all_exercises
from lora_lessons.lessons.l03_train_lora import by_hand

all_exercises()


class Written(nn.Module):
    """What all of them begin with."""

    def __init__(self, base_layer, r, lora_alpha):
        super().__init__()
        self.base_layer = base_layer.requires_grad_(False)
        self.scaling = lora_alpha / r
        self.make(r, *base_layer.weight.shape)


class Small(Written):
    def make(self, r, d, k):
        self.lora_A = nn.Parameter(0.02 * torch.randn(r, k))
        self.lora_B = nn.Parameter(torch.zeros(d, r))

    def forward(self, x):
        return self.base_layer(x) + self.scaling * F.linear(F.linear(x, self.lora_A), self.lora_B)


class ByRank(Small):
    """A with the standard deviation 1/r, as PEFT's init_lora_weights="gaussian" draws it."""

    def make(self, r, d, k):
        super().make(r, d, k)
        nn.init.normal_(self.lora_A, std=1 / r)


class Xavier(Small):
    def make(self, r, d, k):
        super().make(r, d, k)
        nn.init.xavier_uniform_(self.lora_A)


class OneSided(Small):
    """What somebody used to NumPy writes."""

    def make(self, r, d, k):
        super().make(r, d, k)
        self.lora_A = nn.Parameter(torch.rand(r, k) / k**0.5)


class AsPeft(Written):
    def make(self, r, d, k):
        self.lora_A = nn.Linear(k, r, bias=False)
        self.lora_B = nn.Linear(r, d, bias=False)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x):
        return self.base_layer(x) + self.lora_B(self.lora_A(x)) * self.scaling


class Summed(Small):
    """W and its update are summed first."""

    def forward(self, x):
        W = self.base_layer.weight + self.scaling * self.lora_B @ self.lora_A
        return F.linear(x, W, self.base_layer.bias)


class Copied(Small):
    """A frozen copy of W in place of the layer itself."""

    def __init__(self, base_layer, r, lora_alpha):
        nn.Module.__init__(self)
        self.weight = nn.Parameter(base_layer.weight.detach().clone(), requires_grad=False)
        self.bias = None if base_layer.bias is None else base_layer.bias.detach().clone()
        self.scaling = lora_alpha / r
        self.make(r, *base_layer.weight.shape)

    def forward(self, x):
        return F.linear(x, self.weight, self.bias) + x @ self.lora_A.T @ self.lora_B.T * self.scaling


class ForRows(Written):
    """ΔW = A·B, as it is written for row vectors."""

    def make(self, r, d, k):
        self.lora_A = nn.Parameter(torch.randn(k, r) / math.sqrt(k))
        self.lora_B = nn.Parameter(torch.zeros(r, d))

    def forward(self, x):
        return self.base_layer(x) + x @ self.lora_A @ self.lora_B * self.scaling


@pytest.mark.parametrize("written", [Small, ByRank, Xavier, OneSided, AsPeft, Summed, Copied, ForRows])
def test_a_layer_that_works_is_right_and_trains_in_lesson_03(written, tiny_model):
    state, sentence = judge("02.1", written)
    assert state == "solved", sentence
    assert ("your A is k×r and your B is r×d" in sentence) == (written is ForRows)
    assert ("have one sign" in sentence) == (written is OneSided)
    ids = torch.arange(3, 11)[None]
    by_hand.attach(tiny_model, written, r=2, lora_alpha=4)
    learned = [p for p in tiny_model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        tiny_model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    with torch.no_grad():
        logits = tiny_model(ids).logits
        by_hand.as_the_courses(tiny_model)
        assert len(list(lora.lora_layers(tiny_model))) == 14
        assert torch.allclose(tiny_model(ids).logits, logits, atol=1e-5)
