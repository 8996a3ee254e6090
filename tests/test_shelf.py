"""The shipped adapters: small, 16-bit, made as recorded, fitting the base, and as good as their record says."""

import json

import pytest
import torch
from safetensors.torch import load_file

from lora_lessons import adapters, evaluation, lora, tasks
from lora_lessons.course import shelf


@pytest.mark.parametrize("name", ["plain_language", "code_style", "strict_json"])
def test_a_shipped_adapter_is_small_in_16_bits_and_gains_what_its_record_says(name, base_fp32):
    file = shelf.shipped()[name] / lora.ADAPTER_WEIGHTS
    assert 4.5e6 < file.stat().st_size < 5.5e6 and {t.dtype for t in load_file(file).values()} == {torch.float16}
    made = shelf.recorded()["adapters"][name]
    assert made["trained"]["kept"] > made["base"]["kept"] and (made["steps"], 0) == (shelf.HOW[name][0], made["seed"])
    task = tasks.load_task(name)
    drawn = evaluation.drawn(task, shelf.SCORED)
    examples = [tasks.encode(base_fp32.tokenizer, example) for example in drawn]
    with adapters.worn(base_fp32.model, lora.read_adapter(file.parent)) as model:
        assert evaluation.held_out_loss(model, examples) == pytest.approx(made["trained"]["loss"], rel=0.01)


def test_three_are_shipped_and_every_task_is_told_how_to_train():
    assert sorted(shelf.shipped()) == ["code_style", "plain_language", "strict_json"]
    assert set(shelf.HOW) == set(shelf.ABOUT) and all(tasks.load_task(name) for name in shelf.ABOUT)
    assert {"date", "machine", "versions"} < set(shelf.recorded())


def test_an_adapter_is_made_written_in_16_bits_and_recorded(tmp_path, monkeypatch):
    monkeypatch.setitem(shelf.HOW, "strict_json", (1, 1e-3))
    monkeypatch.setattr(shelf, "SCORED", 1)
    monkeypatch.setattr(evaluation, "perplexity", lambda *_: 40.0)
    (card,) = shelf.make(["strict_json"], tmp_path)
    made = json.loads((tmp_path / shelf.MADE).read_text())["adapters"]["strict_json"]
    assert made["steps"] == 1 and made["trained"]["loss"] == card.trained.loss and made["trainable"] == card.trainable
    assert lora.read_adapter(tmp_path / "strict_json").r == shelf.R
    with pytest.raises(FileExistsError, match="choose another --out"):
        shelf.make(["strict_json"], tmp_path)


def test_an_unknown_task_is_refused_before_any_work(tmp_path):
    with pytest.raises(ValueError, match="no adapter is named 'poems': choose from persona"):
        shelf.make(["poems"], tmp_path)
