"""What tests of base models share: a cache that holds nothing, and tiny models in folders."""

import pytest
from tiny_folders import make_folder

from lora_lessons.models import tensor_by_tensor


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A cache that holds nothing, and no GGUF given by hand."""
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LORA_LESSONS_BASE_GGUF", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "tiny")


@pytest.fixture
def keep_all(monkeypatch):
    """Tiny models are kept, too, as a 7B would be."""
    monkeypatch.setattr(tensor_by_tensor, "KEEP_FROM", 0)


@pytest.fixture
def tokenized(folder, base_fp32):
    """A folder that models.load accepts: a tokenizer lies beside the weights."""
    base_fp32.tokenizer.save_pretrained(folder)
    return folder
