"""Rulers that differ in one thing at a time: each rounds as its name says, and the recording holds them all."""

import json

import pytest
import torch

from lora_lessons import models
from lora_lessons.experiments import quantized_perplexity
from workshop.bench import rulers


@pytest.mark.parametrize("name", rulers.RULERS)
def test_a_ruler_has_at_most_sixteen_marks_in_a_block(name):
    torch.manual_seed(0)
    W = torch.randn(8, 128)
    back, block = rulers.rounded(name)(W), rulers.RULERS[name][1]
    assert back.shape == W.shape and 0 < (back - W).abs().max() < 1
    assert max(len(part.unique()) for part in back.reshape(-1, block)) <= 16


def test_int4_has_fifteen_marks_and_lesson_11s_ruler_sixteen():
    W = torch.linspace(-1, 1, 64)[None]
    found = {name: rulers.rounded(name)(W).unique().numel() for name in ("int4_64", "sixteen_64")}
    assert found == {"int4_64": 15, "sixteen_64": 16}


def test_what_lies_on_q4_1s_grid_comes_back_as_it_was():
    rounded = rulers.rounded("q4_1")
    on_grid = rounded(torch.randn(4, 64, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(rounded(on_grid), on_grid, atol=1e-3)


def test_the_recording_holds_every_ruler_and_the_bases_own_loses_nothing():
    found = quantized_perplexity.recorded("lesson_11_rulers")
    lost = {row["ruler"]: sum(row["losses"]) - sum(found["intact"]) for row in found["rows"]}
    assert list(lost) == list(rulers.RULERS) and found["machine"] and found["date"]
    assert abs(lost["q4_1"]) < 1e-3 < min(value for name, value in lost.items() if name != "q4_1")


def test_recording_rounds_by_each_ruler_and_puts_the_weights_back(course, tiny_model, monkeypatch):
    name = "model.layers.0.mlp.up_proj"
    before = tiny_model.get_submodule(name).weight.clone()
    monkeypatch.setattr(models, "load", lambda **_: models.Base(tiny_model, None, "tiny"))
    monkeypatch.setattr("lora_lessons.lora.resolve_targets", lambda *_: [name])
    monkeypatch.setattr(rulers, "losses", lambda base: [base.model.get_submodule(name).weight.std().item()] * 2)
    rulers.record(["nf4_64", "q4_0"])
    found = json.loads((course / "data" / "measurements" / "lesson_11_rulers.json").read_text(encoding="utf-8"))
    assert [row["ruler"] for row in found["rows"]] == ["nf4_64", "q4_0"]
    assert all(row["losses"] != found["intact"] for row in found["rows"])
    assert torch.equal(tiny_model.get_submodule(name).weight, before)


def test_the_command_says_what_it_needs(capsys):
    with pytest.raises(SystemExit):
        rulers.main([])
    assert "say --record" in capsys.readouterr().err
