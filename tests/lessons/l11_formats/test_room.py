"""What lesson 11's room computes: Q4_0 by hand, differences passage by passage, one layer rounded in three ways; its pictures."""

import pytest
import torch

from lora_lessons import models
from lora_lessons.drawing import use_style
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


# ---- pictures ----


def test_the_picture_has_a_dot_a_passage_and_an_interval_a_pair():
    gaps = {"a minus b": [-0.1, -0.2, -0.3], "c minus d": [0.1, -0.1, 0.0]}
    figure, _, numbers = pictures.paired_differences(gaps)
    (ax,) = figure.axes
    dots = [line.get_ydata().tolist() for line in ax.lines if len(line.get_xdata()) == 3]
    assert dots == list(gaps.values())
    zero = [line for line in ax.lines if list(line.get_ydata()) == [0, 0]]
    assert len(zero) == 1, "the line that the differences are read against"
    assert "a minus b: -0.45 to +0.05 nats, lower on 3 of 3" in numbers


def test_the_two_weights_are_said_with_their_marks():
    w, marks = torch.tensor([0.4, 0.35]), {"nearest": torch.tensor([0.0, 0.0]), "best": torch.tensor([1.0, 0.0])}
    off = {"nearest": (marks["nearest"], 0.774), "best": (marks["best"], 0.33)}
    figure, _, numbers = pictures.two_weights(torch.tensor([[2.0, 1.8], [1.8, 2.0]]), w, off)
    assert "The nearest mark (0, 0) is 0.77 off" in numbers and "The best mark (1, 0) is 0.33 off" in numbers
    assert {"nearest\n0.77 off", "best\n0.33 off"} < {text.get_text() for text in figure.axes[0].texts}


def test_every_file_but_the_reference_is_a_mark_at_its_bits():
    use_style()
    files = {name: {"bits_in_layers": bits} for name, bits in (("gguf-f16", 16.0), ("gguf-q4_0", 4.5), ("gptq", 4.31))}
    figure, _, numbers = pictures.by_bits(files, {"gguf-f16": 0.0, "gguf-q4_0": 0.14, "gptq": 0.11})
    drawn = [(line.get_xdata()[0], round(line.get_ydata()[0]), line.get_marker()) for line in figure.axes[0].lines]
    assert drawn == [(4.5, 14, "o"), (4.31, 11, "s")]
    assert numbers == "Q4_0: 4.50 bits, +14%. GPTQ: 4.31 bits, +11%."
