"""4-bit weights that are kept: read again as they were, made anew when their source has changed."""

import shutil
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_folders import BF16, assert_same
from transformers import (
    AutoModelForCausalLM,
)

from lora_lessons import models
from lora_lessons.errors import ModelError
from lora_lessons.models import filling, four_bit, tensor_by_tensor


def test_the_kept_weights_are_equal_and_the_source_is_read_no_more(folder, tmp_path, monkeypatch, keep_all):
    first = tensor_by_tensor.load(folder, BF16, tmp_path / "cache")
    assert_same(first, tensor_by_tensor.load(folder, BF16))
    (place,) = (tmp_path / "cache").iterdir()
    assert_same(first, AutoModelForCausalLM.from_pretrained(place, dtype=torch.bfloat16))  # transformers reads it, too
    monkeypatch.setattr(four_bit, "quantized", lambda *_: pytest.fail("quantised again"))
    again = tensor_by_tensor.load(folder, BF16, tmp_path / "cache")
    assert_same(first, again)
    assert (
        models.weights_digest(first) == models.weights_digest(again)
        and first.base_fingerprint == again.base_fingerprint
    )


def test_a_changed_source_or_a_damaged_copy_is_made_anew(folder, tmp_path, capsys, keep_all):
    before = tensor_by_tensor.load(folder, BF16, tmp_path / "cache")
    (place,) = (tmp_path / "cache").iterdir()
    shard = next(place.glob("*.safetensors"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    assert_same(before, tensor_by_tensor.load(folder, BF16, tmp_path / "cache"))
    assert "damaged" in capsys.readouterr().err
    changed = sorted(folder.glob("*.safetensors"))[0]
    tensors = load_file(changed)
    save_file({name: t + 1 for name, t in tensors.items()}, changed, {"format": "pt"})
    after = tensor_by_tensor.load(folder, BF16, tmp_path / "cache")
    assert (
        models.weights_digest(after) != models.weights_digest(before)
        and after.base_fingerprint != before.base_fingerprint
    )
    assert_same(after, tensor_by_tensor.load(folder, BF16))
    assert len(list((tmp_path / "cache").iterdir())) == 1  # in the old one's place


def test_a_disk_that_is_short_or_fills_up_leaves_nothing(folder, tmp_path, monkeypatch, keep_all):
    usage = type(shutil.disk_usage("/"))(10**9, 10**9, 100)
    with monkeypatch.context() as patch:
        patch.setattr(filling.shutil, "disk_usage", lambda _: usage)
        with pytest.raises(ModelError, match=r"need 0\.0 GB in .* 0\.0 GB is free: make room"):
            tensor_by_tensor.load(folder, BF16, tmp_path / "cache")
    monkeypatch.setattr(filling, "save_file", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(ModelError, match=r"could not be kept.*No space left"):
        tensor_by_tensor.load(folder, BF16, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
