"""What lesson 03 measures with, and draws."""

from types import SimpleNamespace

import pytest
import torch

from lora_lessons.lessons.l03_train_lora import measured, pictures


def test_the_two_ways_are_drawn_to_scale():
    figure, words = pictures.two_ways(60, 40, 5)
    sizes = [(patch.get_width(), patch.get_height()) for patch in figure.axes[0].patches]
    assert sizes == [(40, 60), (40, 60), (5, 60), (40, 5)]
    assert "2,400 numbers" in words and "500 numbers (20.8%)" in words


def test_a_change_is_put_on_measured_and_taken_off(tiny_model, monkeypatch):
    tiny_base = SimpleNamespace(model=tiny_model)
    before = {name: p.clone() for name, p in tiny_base.model.named_parameters()}
    name = "model.layers.0.self_attn.q_proj"
    seen = []
    monkeypatch.setattr(
        measured.evaluation,
        "held_out_loss",
        lambda model, *_, **__: seen.append(model.get_submodule(name).weight.clone()) or 3.0,
    )
    change = {name: torch.full_like(before[f"{name}.weight"], 0.5)}
    assert measured.loss_with(tiny_base, change, []) == 3.0
    assert torch.equal(seen[0], before[f"{name}.weight"] + 0.5)
    assert all(torch.equal(p, before[n]) for n, p in tiny_base.model.named_parameters())
    assert measured.losses_of_cut_weights(tiny_base, (1, 8), []) == {1: 3.0, 8: 3.0}
    assert [int(torch.linalg.matrix_rank(one)) for one in seen[1:]] == [1, 8]


@pytest.fixture
def kept(monkeypatch):
    """What is recorded and shown, by name."""
    kept = {}
    monkeypatch.setattr(measured, "record", lambda name, value, *_, **__: kept.update({name: value}))
    monkeypatch.setattr(measured, "show", lambda figure, _, numbers: kept.update(words=numbers, figure=figure))
    return kept


BASE = SimpleNamespace(score=SimpleNamespace(loss=5.0))


def test_what_a_cut_leaves_is_a_share_of_what_was_learned(kept):
    by_rank = {1: 3.5, 8: 3.2, 64: 3.0}
    cut = {r: (0.5, loss) for r, loss in by_rank.items()}
    curves = {name: [1.0] * 8 for name in ("LoRA's", "full fine-tuning's", "noise")}
    assert measured.record_hinge(cut, 3.0, by_rank, by_rank, BASE, curves) == pytest.approx(90.0)
    assert kept["change.left_1"] == pytest.approx(75.0) and kept["change.left_64"] == pytest.approx(100.0)
    assert "rank 8: 3.20 cut, 3.20 trained" in kept["words"]
