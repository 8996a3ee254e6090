"""Which jobs and models there are, and the sentences that refuse the others."""

import json
from unittest.mock import Mock

import pytest
import torch
from tiny_configs import small
from transformers import AutoConfig, AutoModelForCausalLM

from lora_lessons import memory
from lora_lessons.errors import ModelError
from lora_lessons.memory import Job


def test_a_folder_with_a_config_is_enough(tmp_path):
    small("qwen2").save_pretrained(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]
    from_folder, direct = memory.predict(tmp_path, Job()), memory.predict(small("qwen2"), Job())
    assert from_folder == direct


BNB = {"quant_method": "bitsandbytes", "_load_in_4bit": True, "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}


@pytest.mark.parametrize(
    "packed, method, sentence",
    [
        ({"quant_method": "gptq", "bits": 4}, "qlora", r"quantized already \(gptq\).*: name the 16-bit model"),
        ({"quant_method": "awq", "bits": 4}, "lora", r"quantized already \(awq\).*: name the 16-bit model"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "qlora", r"quantized already \(bitsandbytes\)"),
        (BNB, "lora", r"\(bitsandbytes, 4 bits\).*: plan it with the method qlora, or name"),
        (BNB, "qlora", None),
        ({"quant_method": "mxfp4"}, "lora", None),
    ],
    ids=range(6),
)
def test_a_checkpoint_that_is_packed_is_planned_as_it_will_be_trained_or_refused(tmp_path, packed, method, sentence):
    said = small("qwen2").to_dict() | {"quantization_config": packed}
    (tmp_path / "config.json").write_text(json.dumps(said, default=str))
    if sentence is None:
        assert memory.predict(tmp_path, Job(method)) == memory.predict(small("qwen2"), Job(method))
        return
    with pytest.raises(ModelError, match=sentence):
        memory.predict(tmp_path, Job(method))


def test_an_infinite_number_is_read_as_transformers_writes_it(tmp_path):
    AutoConfig.for_model("granitemoehybrid").save_pretrained(tmp_path)
    assert '"__float__"' in (tmp_path / "config.json").read_text()
    assert memory.shape_of(tmp_path).config().time_step_limit[1] == float("inf")


@pytest.mark.parametrize(
    "model, sentence",
    [
        ("Llama-9", "I don't know a model called 'Llama-9': give a name such as Llama-3.1-8B"),
        ("./nowhere", "I don't know a model called './nowhere'"),
        ("a/b/c", "I don't know a model called 'a/b/c'"),
    ],
)
def test_a_model_that_is_none_is_refused(model, sentence):
    with pytest.raises(ModelError, match=sentence):
        memory.predict(model, Job())


def test_bad_folders_are_refused(tmp_path):
    with pytest.raises(ModelError, match="has no config.json"):
        memory.predict(tmp_path, Job())
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="model.gguf cannot be read as a GGUF"):
        memory.predict(tmp_path / "model.gguf", Job())
    for text, sentence in (
        ("{", "could not be read"),
        ('{"model_type": "vit"}', "vit language model"),
        ('{"model_type": "smollm3", "text_config": true}', "smollm3 config .its text_config"),
    ):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ModelError, match=sentence):
            memory.predict(tmp_path, Job())


def test_a_hub_id_is_planned_by_its_config_and_what_cannot_be_fetched_is_one_sentence(monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr("lora_lessons.models.hub._answers", lambda _: True)
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download", Mock(side_effect=OSError("no such repository\nin these words"))
    )
    with pytest.raises(ModelError, match=r"'owner/name' could not be fetched .*no such repository\).*log in") as said:
        memory.predict("owner/name", Job())
    assert "\n" not in str(said.value)
    small("qwen2").save_pretrained(tmp_path)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda _, name: str(tmp_path / name))
    assert memory.predict("owner/name", Job()) == memory.predict(small("qwen2"), Job())


@pytest.mark.parametrize(("kind", "tied"), [("llama", True), ("qwen3", False)])
def test_a_gguf_is_planned_by_its_header(kind, tied, base_fp32, tmp_path):
    """The folder and the file that is written from it are one model: also where Qwen 3's heads are not 128 wide."""
    from lora_tools.exporting import gguf

    config = small(kind)
    config.vocab_size, config.tie_word_embeddings = base_fp32.model.config.vocab_size, tied
    folder = tmp_path / "base"
    AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(folder)
    base_fp32.tokenizer.save_pretrained(folder)
    gguf.write_base(folder, tmp_path / "it.gguf", "f16")
    assert memory.predict(tmp_path / "it.gguf", Job()) == memory.predict(folder, Job())
    part = (tmp_path / "it.gguf").rename(tmp_path / "it-00001-of-00002.gguf")
    with pytest.raises(ModelError, match="one part of a GGUF"):
        memory.predict(part, Job())


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"method": "dora"}, "method 'dora' is not known: choose one of full, lora, qlora"),
        ({"optimizer": "sgd"}, "optimizer 'sgd' is not known"),
        ({"dtype": "int8"}, "dtype 'int8' is not known"),
        ({"seq": 0}, "seq = 0: give a whole number of at least 1"),
        ({"batch_size": True}, "batch_size = True: give a whole number"),
        ({"r": 2.5}, "r = 2.5: give a whole number"),
        ({"seq": 10**12}, "no card holds that"),
    ],
)
def test_a_job_that_cannot_be_is_refused(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        Job(**fields)


def test_what_does_not_fit_the_model_is_refused_in_the_layers_words():
    with pytest.raises(ValueError, match="r = 1025 .* 1024×4096 weight"):
        memory.predict("Mistral-7B", Job(r=1025))
    with pytest.raises(ValueError, match="no module is named 'q_prj'. Did you mean 'q_proj'"):
        memory.predict("Mistral-7B", Job(target_modules=("q_prj",)))
    assert memory.predict("Mistral-7B", Job(r=1025, target_modules=("q_proj",))).bill.adapters == 4 * 1025 * 8192 * 32


def test_the_names_of_the_methods_are_the_ledgers():
    assert Job("full bf16") == Job("full", dtype="bf16") and Job("full fp32").dtype == "fp32"
    assert Job(target_modules=["q_proj"]) == Job(target_modules=("q_proj",))
