"""What lesson 11 reads out of its recordings: differences passage by passage, and what each ruler loses."""

import pytest
import torch

from lora_lessons.drawing import GREY, use_style
from lora_lessons.experiments import sweep
from lora_lessons.lessons.l11_formats import pictures, rounding
from lora_lessons.quant.gptq import read


def row(method, losses, bits=4, seed=0):
    return {"method": method, "bits": bits, "seed": seed, "losses": losses}


TABLE = {
    "intact": [3.0, 4.0, 5.0],
    "rows": [
        row("rtn", [3.4, 4.3, 5.5]),
        row("gptq", [3.1, 4.1, 5.1]),
        row("gptq", [3.3, 4.1, 5.3], seed=1),
        row("awq", [3.3, 4.2, 5.2]),
        row("awq", [3.5, 4.4, 5.6], seed=1),
        row("rtn", [9.0, 9.0, 9.0], bits=3),
    ],
}


def test_differences_are_taken_passage_by_passage_over_the_mean_of_the_draws():
    gaps = rounding.gaps(TABLE, 4)
    assert list(gaps) == ["GPTQ minus nearest", "AWQ minus nearest", "GPTQ minus AWQ"]
    assert gaps["GPTQ minus nearest"] == pytest.approx([-0.2, -0.2, -0.3])
    assert gaps["GPTQ minus AWQ"] == pytest.approx([-0.2, -0.2, -0.2])
    assert rounding.lost(TABLE, 4) == pytest.approx(0.4) and rounding.lost(TABLE, 4, "gptq") == pytest.approx(1 / 6)


def test_one_bad_draw_is_enough_to_say_that_not_every_draw_wins():
    assert rounding.every_draw_wins(TABLE, "gptq", 4) and not rounding.every_draw_wins(TABLE, "awq", 4)


def test_apart_means_that_zero_is_outside_the_interval():
    assert rounding.apart([-0.2, -0.21, -0.19]) and rounding.apart([0.2, 0.21, 0.19])
    assert not rounding.apart([-0.2, 0.1, 0.3])


def test_rulers_are_held_against_the_intact_base():
    table = {
        "intact": [3.0, 4.0],
        "rows": [{"ruler": "q4_1", "losses": [3.0, 4.0]}, {"ruler": "a", "losses": [3.2, 4.4]}],
    }
    found = rounding.of_rulers(table)
    assert found["q4_1"] == [0, 0] and found["a"] == pytest.approx([0.2, 0.4])


def test_the_picture_has_a_dot_a_passage_and_an_interval_a_pair():
    use_style()  # a title stands where the course's style puts it, whichever test ran before
    gaps = {bits: {"a minus b": [-0.1, -0.2, -0.3], "c minus d": [0.1, -0.1, 0.0]} for bits in (4, 3)}
    figure = pictures.paired_differences(gaps, "nats")
    for ax, bits in zip(figure.axes, (4, 3), strict=True):
        dots = [line.get_ydata().tolist() for line in ax.lines if len(line.get_xdata()) == 3]
        assert dots == list(gaps[bits].values()) and ax.get_title(loc="left") == f"{bits} bits"
        zero = [line for line in ax.lines if line.get_color() == GREY and list(line.get_ydata()) == [0, 0]]
        assert len(zero) == 1, "the line that the differences are read against"
    assert "a minus b, 4 bits: -0.45 to +0.05 nats, lower on 3 of 3 passages." in pictures.of_gaps(gaps)


def test_three_ways_are_judged_on_text_that_none_of_them_read():
    torch.manual_seed(0)
    weight, mixed = torch.randn(32, 64), torch.randn(64, 64)
    mine, other = read(torch.randn(400, 64) @ mixed), read(torch.randn(400, 64) @ mixed)
    errors = rounding.three_ways(weight, mine, other)
    assert list(errors) == ["to nearest", "AWQ", "GPTQ", "GPTQ, same text"]
    assert errors["GPTQ, same text"] < errors["GPTQ"] < errors["to nearest"]
    assert "a: to nearest 0.100, GPTQ 0.050." in pictures.of_errors({"a": {"to nearest": 0.1, "GPTQ": 0.05}})


def test_the_two_weights_are_said_with_their_marks():
    said = pictures.of_two_weights(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0]), 0.775, 0.33)
    assert "nearest mark (0, 0) lies across them, 0.78 off" in said or "0.77 off" in said
    assert "(1, 0) is farther" in said and "0.33 off" in said


def test_a_ruler_is_a_row_with_its_mean_and_says_how_large_its_blocks_are():
    rises = {name: sweep.summary([0.1, 0.2, 0.3]) for name in ("a, blocks of 64", "b, blocks of 32")}
    (ax,) = pictures.rulers(rises, "nats").axes
    assert [line.get_marker() for line in ax.lines if line.get_marker() in "os"] == ["o", "s"]
    assert [text.get_text() for text in ax.texts] == ["0.20", "0.20"]
    assert "b, blocks of 32: 0.20 nats (-0.05 to 0.45)." in pictures.of_rulers(rises)
