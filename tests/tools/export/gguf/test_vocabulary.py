"""llama.cpp reads a text as the tokenizer does, stops where the model stops, and says so where it cannot."""

import copy

import pytest
from exporting import byte_level

from lora_lessons import models
from lora_lessons.errors import ModelError
from lora_tools.exporting import gguf
from lora_tools.exporting.gguf import vocabulary


def test_smollms_own_way_with_digits_is_known(base_fp32, tmp_path):
    tokenizer = byte_level("smollm", base_fp32.tokenizer.chat_template)
    vocabulary.check(models.embedded_folder(), tokenizer, len(tokenizer))


def test_tokens_read_by_the_wrong_rule_are_an_error(base_fp32, tmp_path, monkeypatch):
    monkeypatch.setattr(vocabulary, "splitter", lambda said: "llama-bpe")
    with pytest.raises(ModelError, match="transformers as .* nothing was written"):
        gguf.write_base(models.embedded_folder(), tmp_path / "base.gguf")
    assert not list(tmp_path.iterdir())


def findings(folder, tokenizer):
    """What is said of a base's folder with another tokenizer than its own."""
    return vocabulary.check(folder, tokenizer, gguf.open_base(folder).vocabulary_size)


def test_a_missing_or_other_end_and_a_missing_template_are_found(tiny, base_fp32, tmp_path):
    folder, _, tokenizer = tiny("qwen2")
    other = copy.deepcopy(tokenizer)
    assert vocabulary.end_of_turn(other) == 2
    assert not [s for s in findings(folder, other) if "EOS" in s or "template" in s]
    other.eos_token = "<|endoftext|>"
    found = findings(folder, other)
    assert any("ends an answer with '<|im_end|>', and EOS is '<|endoftext|>'" in s for s in found)
    probe = gguf.read(vocabulary.tiny_model(other, len(other), tmp_path / "probe.gguf"))
    assert probe.fields["tokenizer.ggml.eot_token_id"].contents() == 2
    other.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    assert any("no end token after an answer" in s for s in findings(folder, other))
    other.chat_template = None
    assert any("has no chat template" in s for s in findings(folder, other))
    other.eos_token = None
    assert any("names no EOS" in s for s in findings(folder, other))
    assert any("pads and ends" in s for s in gguf.open_base(models.embedded_folder()).findings)


def test_a_template_that_llama_cpp_renders_otherwise_is_found(tiny):
    folder, _, tokenizer = tiny("qwen2")
    other = copy.deepcopy(tokenizer)
    other.chat_template = (
        "{% if add_generation_prompt is defined and tools is defined and tools is none %}python{% else %}other{% endif "
        "%}{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
    )
    assert any("chat template differently" in s for s in findings(folder, other))
