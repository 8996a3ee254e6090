"""The recording of rounded bases: a row for each setting, and the base is whole again."""

import json

import torch

from lora_lessons import models
from workshop.record import rounding


def test_a_recording_holds_a_row_for_each_setting(course, tiny_model, monkeypatch):
    names = ["model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj"]
    before = tiny_model.get_submodule(names[1]).weight.clone()
    monkeypatch.setattr(models, "load", lambda **_: models.Base(tiny_model, None, "tiny"))
    monkeypatch.setattr("lora_lessons.lora.resolve_targets", lambda *_: names)
    monkeypatch.setattr(rounding, "calibration", lambda *_: [torch.arange(64).view(2, 32)])
    monkeypatch.setattr(rounding, "losses", lambda base: [base.model.get_submodule(names[1]).weight.std().item()] * 2)
    rounding.record([0, 1], windows=2, group=32)
    found = json.loads((course / "data" / "measurements" / "lesson_11_rounding.json").read_text(encoding="utf-8"))
    rows = {(row["method"], row["seed"]): row for row in found["rows"]}
    assert set(rows) == {("rtn", 0), ("gptq", 0), ("awq", 0), ("gptq", 1), ("awq", 1)}
    assert rows["rtn", 0]["bits_per_weight"] == 4 + 16 / 32
    assert rows["rtn", 0]["losses"] != found["intact"] and len(found["versions"]) > 3
    assert torch.equal(tiny_model.get_submodule(names[1]).weight, before)
