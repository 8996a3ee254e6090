"""A merged model as a folder: PEFT's own merge, whole or not there, and refused where a merge would be lost."""

import json

import peft
import pytest
import torch
from exporting import peft_adapter
from transformers import AutoModelForCausalLM

from lora_lessons.errors import ModelError
from lora_tools import cli
from lora_tools.exporting import merged


@pytest.fixture
def both(tiny, tmp_path):
    folder, model, _ = tiny("llama")
    return folder, peft_adapter(model, tmp_path / "mine", rank_pattern={"q_proj": 2}, alpha_pattern={"v_proj": 3})


def test_it_is_pefts_merge_in_shards_with_the_tokenizer(both, tmp_path, monkeypatch, capsys):
    base, adapter = both
    monkeypatch.setattr(merged, "SHARD", 100_000)
    monkeypatch.setattr(  # an older base names its type in another way
        merged, "read_config", lambda place, read=merged.read_config: read(place) | {"torch_dtype": "float32"}
    )
    out = tmp_path / "out"
    assert cli.main(["export", "merged", str(adapter), "--base", str(base), "--out", str(out)]) == 0
    assert "model-00001-of-" in capsys.readouterr().out and (out / "tokenizer.json").is_file()
    whole = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    theirs = peft.PeftModel.from_pretrained(whole, adapter).merge_and_unload().to(torch.bfloat16).state_dict()
    ours = AutoModelForCausalLM.from_pretrained(out)
    assert ours.dtype == torch.bfloat16 and "torch_dtype" not in (out / "config.json").read_text("utf-8")
    before = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).state_dict()
    for name, tensor in ours.state_dict().items():
        torch.testing.assert_close(tensor, theirs[name], rtol=2**-7, atol=1e-6)
    assert sum(not torch.equal(before[name], tensor) for name, tensor in ours.state_dict().items()) == 14
    assert cli.main(["export", "merged", str(adapter), "--base", str(base), "--out", str(out)]) == cli.EXIT_USER


def test_what_cannot_be_merged_leaves_nothing(both, tmp_path, monkeypatch):
    base, adapter = both
    out = tmp_path / "out"
    monkeypatch.setattr(merged, "write_text", lambda *_: (_ for _ in ()).throw(OSError("no room")))
    with pytest.raises(OSError, match="no room"):
        merged.export(adapter, out, base)
    packed = tmp_path / "packed"
    packed.mkdir()
    settings = json.loads((base / "config.json").read_text("utf-8")) | {"quantization_config": {"load_in_4bit": True}}
    (packed / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    (packed / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="rounded to them again"):
        merged.export(adapter, out, packed)
    assert not out.exists()
