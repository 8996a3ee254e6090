"""models.load in 4 bits: the embedded base, a folder, the hub, and what it computes in."""

import shutil

import bitsandbytes as bnb
import pytest
import torch
from tiny_folders import BF16, assert_same, stock

from lora_lessons import models
from lora_lessons.errors import ModelError
from lora_lessons.models import four_bit
from lora_lessons.paths import cache_dir


@pytest.mark.parametrize("precision", four_bit.FORMATS)
def test_load_in_4_bits_gives_a_frozen_base(tokenized, precision):
    base = models.load(tokenized, precision, device="cpu", compute_dtype=torch.float32)
    assert base.name == "tiny" and not base.model.training and not any(p.requires_grad for p in base.model.parameters())
    q = base.model.model.layers[0].self_attn.q_proj
    assert q.weight.quant_type == precision and q.weight.quant_state.nested and q.weight.blocksize == 64
    assert q.compute_dtype == torch.float32
    with pytest.raises(ValueError, match="compute_dtype belongs to 4 bits"):
        models.load(tokenized, "fp32", compute_dtype=torch.float32)
    with pytest.raises(ModelError, match="does not exist"):
        models.load(tokenized / "no" / "where", precision)


def test_a_model_without_a_linear_layer_is_not_called_4_bits(tokenized):
    """GPT-2's layers are of a kind of their own."""
    from transformers import GPT2Config, GPT2LMHeadModel

    for file in tokenized.glob("*.safetensors*"):
        file.unlink()
    GPT2LMHeadModel(GPT2Config(vocab_size=300, n_embd=64, n_layer=1, n_head=2)).save_pretrained(tokenized)
    with pytest.raises(ModelError, match="GPT2LMHeadModel .*load it with precision"):
        models.load(tokenized, "nf4", "cpu")


def test_the_embedded_base_in_nf4_answers(base_fp32):
    base = models.load(precision="nf4", device="cpu")
    packed = [m for m in base.model.modules() if isinstance(m, bnb.nn.Linear4bit)]
    assert base.name == models.EMBEDDED_NAME and len(packed) == 30 * 7
    assert "Paris" in models.chat(base, "What is the capital of France?", max_new_tokens=20)


def test_compute_dtype_is_what_the_device_is_fast_in(monkeypatch):
    for capability, dtype in (((7, 5), torch.float16), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _=None, c=capability: c)
        assert models.fast_dtype("cuda") == dtype
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        monkeypatch.setattr(models.precision, "best_precision", lambda n=name: models.Precision(n, 1.0, 1.0))
        assert models.fast_dtype("cpu") == dtype


def test_a_hub_id_is_fetched_as_safetensors_only(tokenized, monkeypatch, tmp_path, keep_all):
    import huggingface_hub

    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    wanted = []

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda hub_id, name: str(tokenized / name))
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda _, allow_patterns: wanted.extend(allow_patterns) or str(tokenized)
    )
    base = models.load("someone/tiny-7b", "nf4", device="cpu", compute_dtype=torch.bfloat16)
    assert base.name == "someone/tiny-7b"
    assert_same(base.model, stock(tokenized, BF16))
    assert {p.name for p in tokenized.glob("*.safetensors")} < set(wanted)
    assert not [p for p in wanted if p.endswith((".bin", ".py", ".pt", "*"))]
    (only_place,) = cache_dir().joinpath("4bit").glob("tiny-7b-*-nf4-bfloat16")  # not named by a commit
    assert only_place.is_dir()
    usage = type(shutil.disk_usage("/"))(10**9, 10**9, 10)
    monkeypatch.setattr(models.hub.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ModelError, match="files are still to come.*HF_HOME"):
        models.load("someone/tiny-7b", "nf4", device="cpu", compute_dtype=torch.bfloat16)
