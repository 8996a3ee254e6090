"""The shipped adapters: small, 16-bit, made as recorded, fitting the base, and as good as their record says."""

import json

import pytest
import torch
from safetensors.torch import load_file
from tiny import make_tiny_base

from lora_lessons import evaluation, lora, mixing, sums, tasks, training
from lora_lessons.adapter import ADAPTER_WEIGHTS, read_adapter
from lora_lessons.experiments import shipped_adapters as kept
from workshop.record import shipped_adapters


@pytest.mark.parametrize("name", list(shipped_adapters.ABOUT))
def test_a_shipped_adapter_is_small_in_16_bits_and_gains_what_its_record_says(name, base_fp32):
    file = kept.shipped()[name] / ADAPTER_WEIGHTS
    assert 4.5e6 < file.stat().st_size < 5.5e6 and {t.dtype for t in load_file(file).values()} == {torch.float16}
    made = kept.recorded()["adapters"][name]
    assert made["trained"]["kept"] > made["base"]["kept"] and made["seed"] == 0
    assert (made["steps"], made["rate"]) == (shipped_adapters.STEPS, shipped_adapters.RATE[name])
    task = tasks.load_task(name)
    drawn = evaluation.drawn(task, shipped_adapters.SCORED)
    examples = [tasks.encode(base_fp32.tokenizer, example) for example in drawn]
    with mixing.attached(base_fp32.model, read_adapter(file.parent)) as model:
        assert evaluation.held_out_loss(model, examples) == pytest.approx(made["trained"]["loss"], rel=0.01)


def test_four_are_shipped_and_all_are_trained_alike():
    assert sorted(kept.shipped()) == sorted(shipped_adapters.ABOUT) == sorted(shipped_adapters.RATE)
    assert {shipped_adapters.settings(name).steps for name in shipped_adapters.ABOUT} == {shipped_adapters.STEPS}
    assert all(tasks.load_task(name) for name in shipped_adapters.ABOUT)
    assert {"date", "machine", "versions"} < set(kept.recorded())


def test_an_adapter_is_made_written_in_16_bits_and_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped_adapters, "STEPS", 1)
    monkeypatch.setattr(shipped_adapters, "SCORED", 1)
    monkeypatch.setattr(evaluation, "perplexity", lambda *_: 40.0)
    (card,) = shipped_adapters.make(["strict_json"], tmp_path)
    made = json.loads((tmp_path / shipped_adapters.MADE).read_text())["adapters"]["strict_json"]
    assert made["steps"] == 1 and made["trained"]["loss"] == card.trained.loss and made["trainable"] == card.trainable
    assert read_adapter(tmp_path / "strict_json").r == shipped_adapters.R
    with pytest.raises(FileExistsError, match="choose another --out"):
        shipped_adapters.make(["strict_json"], tmp_path)


def test_an_adapter_that_is_shipped_anew_is_noted_anew(tmp_path, monkeypatch):
    def learn(base, task, seed):
        lora.attach(base.model, r=2, seed=seed)
        return training.Training(seconds=1.0)

    monkeypatch.setattr(shipped_adapters, "home", lambda: tmp_path)
    monkeypatch.setattr(shipped_adapters.models, "load", lambda **_: make_tiny_base())
    monkeypatch.setattr(shipped_adapters, "learn", learn)
    monkeypatch.setattr(evaluation, "score", lambda *_: evaluation.Score(1.0, 0.5, 40.0, 0.0))
    noted = []
    for seed in (0, 1):
        shipped_adapters.make(["persona"], seed=seed)
        assert sums.damaged(tmp_path) == [] and read_adapter(tmp_path / "persona").r == 2
        noted.append((tmp_path / sums.SUMS).read_text())
    assert noted[0] != noted[1] and noted[1].count("persona/adapter_") == 2


def test_an_unknown_task_is_refused_before_any_work(tmp_path):
    with pytest.raises(ValueError, match="no adapter is named 'poems': choose from persona"):
        shipped_adapters.make(["poems"], tmp_path)
