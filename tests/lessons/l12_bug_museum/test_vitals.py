"""The lines that lesson 12 gives for a learner's own run: they print what the lesson names,
for PEFT as it is installed."""

import re

import pytest
import torch
from peft import LoraConfig, get_peft_model
from sources import read
from tiny import make_tiny_model
from transformers import TrainerCallback

BLOCK = re.compile(r"^~~~python\n((?:(?!~~~).)*^def vitals\(.*?)^~~~$", re.S | re.M)


@pytest.fixture(scope="module")
def snippet():
    (code,) = (found for cell in read("12_bug_museum").cells for found in BLOCK.findall(cell.source))
    return code


@pytest.fixture(scope="module")
def vitals(snippet):
    names = {}
    exec(snippet, names)
    return names["vitals"]


def model(**settings):
    config = LoraConfig(**{"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "down_proj"]} | settings)
    return get_peft_model(make_tiny_model(), config)


def learned(one):
    one(input_ids=torch.arange(3, 11)[None], labels=torch.arange(3, 11)[None]).loss.backward()
    return one


def test_it_is_short_and_a_trainer_calls_it_where_the_lesson_says(snippet):
    assert len([line for line in snippet.splitlines() if line.strip()]) <= 15
    assert hasattr(TrainerCallback, "on_pre_optimizer_step")


def test_it_prints_layers_scale_size_and_gradients(vitals, capsys):
    one = learned(model(use_rslora=True))
    layer = one.base_model.model.model.layers[0].mlp.down_proj
    torch.nn.init.normal_(layer.lora_B["default"].weight)
    vitals(one)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == f"{len(lines)} layers: {{'q_proj': {len(lines) // 2}, 'down_proj': {len(lines) // 2}}}"
    (line,) = [line for line in lines if "layers.0.mlp.down_proj" in line]
    A, B = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    share = 3 * (B @ A).norm() / layer.base_layer.weight.norm()
    assert f"scale 3, share {share:.2%}, gradients 0.00e+00 {B.grad.norm():.2e}" in line, "at the start only B learns"


def test_a_start_at_zero_and_a_frozen_adapter_show(vitals, capsys):
    one = model()
    for name, p in one.named_parameters():
        if "lora_" in name:
            torch.nn.init.zeros_(p)
    vitals(learned(one))
    assert "share 0.00%, gradients 0.00e+00 0.00e+00" in capsys.readouterr().out
    vitals(model())
    assert "gradients none none" in capsys.readouterr().out
