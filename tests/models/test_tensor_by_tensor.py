"""A folder in 4 bits equals transformers' own loading, one tensor at a time; a bad folder is one sentence."""

import json
import weakref

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_folders import BF16, assert_same, make_folder, stock

from lora_lessons import models
from lora_lessons.errors import ModelError
from lora_lessons.models import four_bit, tensor_by_tensor, weights
from lora_lessons.models.four_bit import Format


@pytest.mark.parametrize("kind, tied", [("llama", False), ("llama", True), ("qwen2", False), ("qwen2", True)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("quant_type", four_bit.FORMATS)
def test_a_folder_in_4_bits_equals_transformers(tmp_path, kind, tied, dtype, quant_type):
    folder, form = make_folder(tmp_path / "m", kind, tied), Format(quant_type, dtype)
    assert len(list(folder.glob("*.safetensors"))) > 2
    mine, theirs = (
        models.keep_trainable(tensor_by_tensor.load(folder, form)),
        models.keep_trainable(stock(folder, form)),
    )
    assert_same(mine, theirs, cast=dtype == torch.float32)  # 16-bit embeddings stay 16-bit here
    ids = torch.arange(3, 30)[None]
    with torch.no_grad():
        assert torch.allclose(mine(ids).logits.float(), theirs(ids).logits.float(), atol=1e-5)
    assert (mine.lm_head.weight is mine.model.embed_tokens.weight) == tied


def test_only_one_tensor_of_the_source_is_held(folder, monkeypatch):
    read, held = tensor_by_tensor.read_tensor, []

    def watched(where, name):
        assert not any(alive() is not None for alive in held), f"an earlier tensor is still held when {name} is read"
        tensor = read(where, name)
        held.append(weakref.ref(tensor))
        return tensor

    monkeypatch.setattr(tensor_by_tensor, "read_tensor", watched)
    tensor_by_tensor.load(folder, BF16)
    assert len(held) == 2 * 9 + 3  # every weight once


def test_a_bad_folder_is_one_sentence(folder, tmp_path):
    shards = sorted(folder.glob("*.safetensors"))
    whole = shards[1].read_bytes()
    shards[1].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="is the download complete"):
        tensor_by_tensor.load(folder, BF16)
    shards[1].unlink()
    with pytest.raises(ModelError, match=rf"lacks 1 of its {len(shards)} weight files \({shards[1].name}\)"):
        tensor_by_tensor.load(folder, BF16)
    shards[1].write_bytes(whole)
    config = json.loads((folder / "config.json").read_text())
    for change, sentence in (
        ({"num_hidden_layers": 3}, r"holds no model\.layers\.2.*BitsAndBytesConfig"),
        ({"intermediate_size": 128}, "belong to different models"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantized already.*give the 16-bit model"),
    ):
        (folder / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ModelError, match=sentence):
            tensor_by_tensor.load(folder, BF16)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / weights.INDEX).write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        tensor_by_tensor.load(folder, BF16)
    (folder / weights.INDEX).unlink()
    with pytest.raises(ModelError, match=r"no model\.safetensors and no model\.safetensors\.index\.json"):
        tensor_by_tensor.load(folder, BF16)


@pytest.mark.parametrize("name", ["model.layers.1.mlp.up_proj.weight", "model.norm.weight"])
def test_a_weight_with_nan_is_named(folder, name):
    (shard,) = (file for file in folder.glob("*.safetensors") if name in load_file(file))
    tensors = load_file(shard)
    save_file(tensors | {name: tensors[name] / 0}, shard, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=f"{name} in {shard.name} holds NaN or infinity"):
        tensor_by_tensor.load(folder, BF16)


def test_weights_that_are_in_4_bits_already_are_read_as_they_are(folder, tmp_path):
    made = stock(folder, BF16)
    made.save_pretrained(tmp_path / "four")
    assert_same(tensor_by_tensor.load(tmp_path / "four", BF16), made)
    with pytest.raises(ModelError, match="holds nf4 weights"):
        tensor_by_tensor.load(tmp_path / "four", Format("fp4", torch.bfloat16))
