"""A little Llama with SmolLM2's chat template, an adapter for it, and the folder for Ollama, written once."""

import shutil
from pathlib import Path

import pytest
from chat_templates import tokenizer_of
from torch import nn

from lora_lessons import lora, models
from lora_lessons.adapter import save_adapter
from lora_tools import cli


@pytest.fixture(scope="package")
def base_and_adapter(tmp_path_factory):
    """A random little Llama of SmolLM2's chat template in a folder, and an adapter for it."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    template = AutoTokenizer.from_pretrained(models.embedded_folder()).chat_template
    tokenizer, folder = tokenizer_of(template, begin=False), tmp_path_factory.mktemp("tiny")
    config = AutoConfig.for_model(
        "llama",
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        vocab_size=len(tokenizer),
        tie_word_embeddings=True,
    )
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    lora.attach(model, r=4, target_modules=["q_proj", "v_proj", "down_proj"])
    for _, layer in lora.lora_layers(model):
        nn.init.normal_(layer.lora_B, std=0.1)
    save_adapter(model, folder / "My Adapter!", base_name=str(folder / "base"))
    return folder / "base", folder / "My Adapter!"


@pytest.fixture(scope="package")
def good(base_and_adapter, tmp_path_factory):
    """A folder as `lora-lessons export ollama` writes it; copy it before you damage it."""
    out = tmp_path_factory.mktemp("ollama") / "good"
    assert cli.main(["export", "ollama", str(base_and_adapter[1]), "--out", str(out), "--type", "f32"]) == 0
    return out


@pytest.fixture
def copy(good, tmp_path):
    return Path(shutil.copytree(good, tmp_path / "copy"))
