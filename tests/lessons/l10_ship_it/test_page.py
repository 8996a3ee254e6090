"""Lesson 10's page: its own MXFP4, NVFP4 and FP8 are what the package gguf writes; and its lines for whoever has PEFT,
llama.cpp and Ollama, and not this course, merge as PEFT computes."""

import re

import pytest
import torch
from gguf import GGMLQuantizationType, quants
from peft import LoraConfig, PeftModel, get_peft_model
from sources import read, texts
from tiny_folders import SIZES
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lora_lessons import quant
from lora_lessons.lessons import l10

# Rows of every size, one of them zeros.
ROWS = torch.logspace(-3, 1, 24)[:, None] * (torch.arange(24) != 5)[:, None]
WEIGHT = ROWS * torch.randn(24, 128, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def page():
    scope = {"torch": torch, "Tensor": torch.Tensor, "quant": quant, "l10": l10, "own": lambda *_, otherwise: otherwise}
    exec("\n".join(cell.source for cell in read("10_ship_it").cells if cell.id in ("10grid", "10ways")), scope)
    return scope


def test_mxfp4_is_ggufs_and_eight_bits_hold_its_scales(page):
    kind = GGMLQuantizationType.MXFP4
    theirs = quants.dequantize(quants.quantize(WEIGHT.numpy(), kind), kind)
    assert torch.equal(page["ways"]["MXFP4"](WEIGHT), torch.tensor(theirs))
    scales = page["power_of_two"](ROWS[ROWS > 0])
    assert torch.equal(scales.to(torch.float8_e8m0fnu).float(), scales)


def test_nvfp4_takes_the_nearest_scale_and_the_nearest_mark(page):
    blocks, whole = WEIGHT.reshape(-1, 16), WEIGHT.abs().max() / (448 * 6)
    floats = torch.tensor([(m / 8 + (e > 0)) * 2.0 ** (max(e, 1) - 7) for e in range(16) for m in range(8)][:-1])
    wanted = blocks.abs().amax(1, keepdim=True) / 6 / whole
    marks = floats[(wanted - floats).abs().argmin(1)][:, None, None] * whole * page["E2M1"].expand(192, 16, 15)
    nearest = marks.gather(2, (blocks[..., None] - marks).abs().argmin(2, keepdim=True))
    assert torch.allclose(page["ways"]["NVFP4"](WEIGHT), nearest.view_as(WEIGHT), rtol=1e-6, atol=0)


def test_by_hand(page):
    W = torch.tensor([[6.0, 2.4, -0.7, 0.2, 5.2, -7.9, 3.4, 0.0] * 4])
    assert page["ways"]["MXFP4"](W)[0, :8].tolist() == [6, 2, -0.5, 0, 6, -6, 3, 0], "a scale of 1: −7.9 is cut off"
    marks = torch.tensor([4, 2, -0.5, 0, 4, -6, 3, 0]) * 7.9 / 6
    assert torch.allclose(page["ways"]["NVFP4"](W)[0, :8], marks, rtol=1e-6, atol=0)
    assert page["fp8"](torch.tensor([[448.0, 17.1, -0.0073, 300.0]])).tolist() == [[448, 18, -0.0078125, 288]]


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
