"""An adapter in llama.cpp says what it says in PEFT: by logits, since equal text hides even a missing permutation."""

import copy

import gguf as gguf_library
import pytest
import torch
from exporting import (
    LIMIT,
    PROMPTS,
    SHAPES,
    TOKENIZERS,
    little_model,
    peft_adapter,
    peft_logits,
    python_logits,
    worst,
)

from lora_lessons import llamacpp, models
from lora_lessons.adapter import read_adapter
from lora_tools.exporting import gguf
from lora_tools.exporting.gguf import vocabulary

OWN = {"rank_pattern": {r"layers\.\d\..*": 3, "v_proj": 16}, "alpha_pattern": {"q_proj": 40, "down_proj": 2}}
# the base, what is adapted, PEFT's settings, and what llama.cpp multiplies the adapter by
CASES = {
    "all-linear, scale 1": ("embedded", "all-linear", {}, 1.0),
    "q and v, some with their own rank and alpha": ("qwen3", ["q_proj", "v_proj"], OWN, 1.0),
    "rsLoRA, some with their own rank and alpha": (
        "qwen3",
        "all-linear",
        {"use_rslora": True, "lora_alpha": 6} | OWN,
        1.0,
    ),
    "scale one half": ("qwen3", "all-linear", {}, 0.5),
}


@pytest.mark.parametrize("case", CASES)
def test_llama_cpp_and_peft_compute_the_same(base_fp32, tiny, tmp_path, case):
    """Beside the base; and, of a small base, merged."""
    base, targets, settings, factor = CASES[case]
    large = (models.embedded_folder(), copy.deepcopy(base_fp32.model), base_fp32.tokenizer)
    folder, model, tokenizer = large if base == "embedded" else tiny(base)
    prompts = [tokenizer(text)["input_ids"] for text in PROMPTS]
    saved = peft_adapter(model, tmp_path / "adapter", targets, **settings)
    adapter, expected = read_adapter(saved), peft_logits(model, saved, prompts, factor)
    file = gguf.write_adapter(adapter, folder, tmp_path / "adapter.gguf")
    base_file = gguf.write_base(folder, tmp_path / "base.gguf", "f32")
    assert worst(llamacpp.logits(base_file, prompts, {file: factor}), expected) <= LIMIT
    assert worst(expected, python_logits(model, prompts)) > 0.2, "an adapter this small proves nothing"
    if base != "embedded" and factor == 1:
        merged = gguf.write_merged(folder, adapter, tmp_path / "merged.gguf", "f32")
        assert worst(llamacpp.logits(merged, prompts), expected) <= LIMIT


@pytest.mark.parametrize("kind", SHAPES)
def test_every_family_agrees_with_base_adapter_and_merged(tiny, tmp_path, kind):
    folder, model, tokenizer = tiny(kind)
    prompts = [tokenizer(text)["input_ids"] for text in PROMPTS]
    targets = ["q_proj", "k_proj", "down_proj"] + ["lm_head"] * (kind == "llama")
    saved = peft_adapter(model, tmp_path / "adapter", targets)
    adapter, plain, expected = (read_adapter(saved), python_logits(model, prompts), peft_logits(model, saved, prompts))
    base = gguf.write_base(folder, tmp_path / "base.gguf", "f32")
    file = gguf.write_adapter(adapter, folder, tmp_path / "adapter.gguf")
    merged = gguf.write_merged(folder, adapter, tmp_path / "merged.gguf", "f32")
    assert worst(llamacpp.logits(base, prompts), plain) <= LIMIT
    assert worst(llamacpp.logits(base, prompts, {file: 1.0}), expected) <= LIMIT
    assert worst(llamacpp.logits(merged, prompts), expected) <= LIMIT
    assert worst(plain, expected) > 0.1
    fields = gguf.read(base).fields
    assert fields["general.architecture"].contents() == {"mistral": "llama"}.get(kind, kind)
    assert fields["tokenizer.ggml.pre"].contents() == {"mistral": "default"}.get(kind, TOKENIZERS[kind])
    with llamacpp.serve(base) as server:
        assert vocabulary.check_tokens(server, tokenizer) >= 20


def test_stretched_rotary_embeddings_agree(base_fp32, tmp_path):
    """Linear scaling stands in two fields of the file, and in none of its tensors."""
    rope = {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}
    model, tokenizer = little_model("qwen2", tmp_path / "it", base_fp32.tokenizer.chat_template, rope_parameters=rope)
    prompts = [tokenizer(text)["input_ids"] for text in PROMPTS[:3]]
    base = gguf.write_base(tmp_path / "it", tmp_path / "base.gguf", "f32")
    assert worst(llamacpp.logits(base, prompts), python_logits(model, prompts)) <= LIMIT


@pytest.mark.parametrize(
    "file_type, low, high", [("f16", 0, 0.2), ("bf16", 1e-4, 1), ("q8_0", 1e-3, 1), ("Q4_K_M", 0.02, 10)]
)
def test_smaller_types_load_and_differ_a_little(tiny, tmp_path, file_type, low, high):
    folder, model, tokenizer = tiny("qwen2")
    prompts = [tokenizer(text)["input_ids"] for text in PROMPTS[:3]]
    adapter = read_adapter(peft_adapter(model, tmp_path / "adapter"))
    if file_type == "Q4_K_M":
        whole = gguf.write_merged(folder, adapter, tmp_path / "whole.gguf", "f32")
        file = gguf.quantize(whole, tmp_path / "small.gguf", file_type)
        assert file.stat().st_size < whole.stat().st_size / 4
    else:
        file = gguf.write_merged(folder, adapter, tmp_path / "small.gguf", file_type)
    assert low <= worst(llamacpp.logits(file, prompts), peft_logits(model, tmp_path / "adapter", prompts)) < high
    norms = [t for t in gguf.read(file).tensors if "norm" in t.name]
    assert norms and all(t.tensor_type == gguf_library.GGMLQuantizationType.F32 for t in norms)


def test_the_logits_after_every_token_are_pythons_and_end_in_those_after_the_prompt(tiny, tmp_path):
    folder, model, tokenizer = tiny("qwen2")
    prompts = [tokenizer(text)["input_ids"][:4] for text in PROMPTS[:3]]
    base = gguf.write_base(folder, tmp_path / "base.gguf", "f32")
    every = llamacpp.logits(base, prompts, every=True)
    with torch.no_grad():
        expected = torch.cat([model(torch.tensor([ids])).logits for ids in prompts])
    assert every.shape == expected.shape and worst(every, expected) <= LIMIT
    assert worst(every[:, -1], llamacpp.logits(base, prompts)) <= LIMIT
