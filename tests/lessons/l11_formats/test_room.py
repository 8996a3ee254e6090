"""What lesson 11's room computes: Q4_0 by hand, differences passage by passage, one layer rounded in three ways."""

import pytest
import torch

from lora_lessons import models
from lora_lessons.experiments import never_rounded, quantized_perplexity
from lora_lessons.lessons.l11_formats import measured, pictures
from lora_lessons.quant.gptq import read


def test_q4_0_by_hand_is_llama_cpps_up_to_16_bits_of_its_step():
    W = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    by_hand, by_llama_cpp = measured.q4_0(W), measured.by_llama_cpp(W)
    assert measured.same_marks(by_hand, by_llama_cpp) > 0.998
    assert torch.equal(by_llama_cpp, never_rounded.even_marks(W)), "the experiment's Q4_0 is llama.cpp's, too"
    assert all(len(block.unique()) <= 16 for block in by_hand.reshape(-1, 32))


def test_marks_next_to_each_other_are_not_the_same():
    W = torch.linspace(-1, 1, 32)[None]
    one = measured.q4_0(W)
    other = one.clone()
    other[0, :8] += 1 / 8
    assert measured.same_marks(one, one) == 1 and measured.same_marks(other, one) == 0.75


def test_a_rise_is_of_the_rounded_model_and_the_weights_come_back(tiny_model, monkeypatch):
    name = "model.layers.0.mlp.up_proj"
    before = tiny_model.get_submodule(name).weight.detach().clone()
    monkeypatch.setattr(
        quantized_perplexity, "losses", lambda base: [float(base.model.get_submodule(name).weight.abs().mean())] * 2
    )
    rise = measured.rise(models.Base(tiny_model, None, "tiny"), [name], torch.zeros_like)
    assert rise == pytest.approx(float((-before.abs().mean()).exp()))
    assert torch.equal(tiny_model.get_submodule(name).weight, before)


def row(method, losses, seed=0):
    return {"method": method, "seed": seed, "losses": losses}


TABLE = {
    "intact": [3.0, 4.0, 5.0],
    "rows": [
        row("rtn", [3.4, 4.3, 5.5]),
        row("gptq", [3.1, 4.1, 5.1]),
        row("gptq", [3.3, 4.1, 5.3], seed=1),
        row("awq", [3.3, 4.2, 5.2]),
        row("awq", [3.5, 4.4, 5.6], seed=1),
    ],
}


def test_differences_are_taken_passage_by_passage_over_the_mean_of_the_draws():
    gaps = measured.gaps(TABLE)
    assert list(gaps) == ["GPTQ minus nearest", "AWQ minus nearest", "GPTQ minus AWQ"]
    assert gaps["GPTQ minus nearest"] == pytest.approx([-0.2, -0.2, -0.3])
    assert gaps["GPTQ minus AWQ"] == pytest.approx([-0.2, -0.2, -0.2])
    assert measured.lost(TABLE) == pytest.approx(0.4) and measured.lost(TABLE, "gptq") == pytest.approx(1 / 6)


def test_one_bad_draw_is_enough_to_say_that_not_every_draw_wins():
    assert measured.every_draw_wins(TABLE, "gptq") and not measured.every_draw_wins(TABLE, "awq")


def test_apart_means_that_zero_is_outside_the_interval():
    assert measured.apart([-0.2, -0.21, -0.19]) and measured.apart([0.2, 0.21, 0.19])
    assert not measured.apart([-0.2, 0.1, 0.3])


def test_three_ways_are_judged_on_text_that_none_of_them_read():
    torch.manual_seed(0)
    weight, mixed = torch.randn(32, 64), torch.randn(64, 64)
    mine, other = read(torch.randn(400, 64) @ mixed), read(torch.randn(400, 64) @ mixed)
    errors = measured.three_ways(weight, mine, other)
    assert list(errors) == ["to nearest", "AWQ", "GPTQ", "GPTQ, same text"]
    assert errors["GPTQ, same text"] < errors["GPTQ"] < errors["to nearest"]
    _, _, numbers = pictures.output_errors({"a": errors})
    assert f"a: to nearest {errors['to nearest']:.3f}, AWQ" in numbers
