"""Lesson 10's lines for whoever has PEFT, llama.cpp and Ollama, and not this course:
its Python merges as PEFT computes."""

import re

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from sources import read, texts
from tiny_folders import SIZES
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


def block(language):
    [found] = [cell for cell in texts(read("10_ship_it")) if "convert_hf_to_gguf.py merged" in cell]
    return re.search(rf"~~~{language}\n(.*?)~~~", found, re.DOTALL)[1]


@pytest.fixture
def base_and_adapter(tmp_path):
    torch.manual_seed(0)
    base = LlamaForCausalLM(LlamaConfig(**SIZES))
    base.save_pretrained(tmp_path / "BASE")
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"a": 0}, "a"))).save_pretrained(tmp_path / "BASE")
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "ADAPTER")
    return tmp_path


def test_its_python_writes_a_folder_with_the_merged_model_and_the_tokenizer(base_and_adapter, monkeypatch):
    monkeypatch.chdir(base_and_adapter)
    exec(block("python"), {})
    ids = torch.arange(8)[None]
    plain = AutoModelForCausalLM.from_pretrained("BASE")
    without = plain(ids).logits
    with_adapter = PeftModel.from_pretrained(plain, "ADAPTER")(ids).logits
    merged = AutoModelForCausalLM.from_pretrained("merged")(ids).logits
    assert (with_adapter - without).abs().max() > 0.01
    assert torch.allclose(merged, with_adapter, atol=1e-4)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {
        file.name for file in (base_and_adapter / "merged").iterdir()
    }


def test_the_file_that_the_script_writes_is_the_one_that_the_modelfile_names():
    lines = block("bash")
    assert re.search(r"--outfile (\S+)", lines)[1] == re.search(r"FROM \./([\w.]+),", lines)[1]
