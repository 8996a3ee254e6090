"""The grid that weights are rounded to, round-to-nearest on it, and what cannot be rounded."""

import pytest
import torch
from random_weights import correlated, grid_marks, normal

from lora_lessons.quant.gptq import Inputs, awq, gptq, read, round_to_nearest


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_round_to_nearest_takes_the_nearest_mark(bits, symmetric):
    W = normal(6, 64) + 0.5
    back = round_to_nearest(W, bits, 16, symmetric).dequantize()
    for row in range(6):
        for first in range(0, 64, 16):
            group = W[row, first : first + 16]
            marks = grid_marks(group, bits, symmetric)
            best = (group.double()[:, None] - marks).abs().min(1).values
            assert torch.allclose((group - back[row, first : first + 16]).abs().double(), best, atol=1e-5)


def test_weights_on_a_grid_of_fp16_come_back_exactly():
    codes = torch.randint(0, 16, (4, 64), generator=torch.Generator().manual_seed(0))
    codes[:, ::32], codes[:, 1::32] = 0, 15
    W = 0.25 * (codes - 5).float()
    assert torch.equal(round_to_nearest(W, 4, 32, symmetric=False).dequantize(), W)


def test_zeros_stay_zeros_and_a_bf16_weight_is_taken():
    assert not round_to_nearest(torch.zeros(2, 64)).dequantize().any()
    assert round_to_nearest(normal(2, 64).bfloat16()).dequantize().dtype == torch.float32


def test_bits_are_those_of_the_packed_tensors():
    W, inputs = normal(96, 128), read(normal(50, 128))
    assert round_to_nearest(W).bits_per_weight == 4 + 16 / 64
    assert round_to_nearest(W, 3, 32, symmetric=False).bits_per_weight == 3 + (16 + 3) / 32
    assert gptq(W, inputs.H, 3).bits_per_weight == 3 + 16 / 64
    assert awq(W, inputs, alphas=[0.5]).bits_per_weight == 4 + 16 / 64 + 16 / 96


# ---- bad input ----

W8, GOOD = normal(8, 64), read(correlated())


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: round_to_nearest(W8, 1), "bits = 1: choose a whole number from 2 to 8"),
        (lambda: round_to_nearest(W8, True), "from 2 to 8"),
        (lambda: gptq(W8, GOOD.H, 9), "from 2 to 8"),
        (lambda: round_to_nearest(normal(2, 576), 4, 128), r"group = 128 does not divide 576 columns: .*64, 32"),
        (lambda: round_to_nearest(W8, 4, 0), "does not divide"),
        (lambda: round_to_nearest(normal(64)), "a d×k matrix of floats"),
        (lambda: round_to_nearest(torch.ones(2, 64, dtype=torch.int8)), "a d×k matrix of floats"),
        (lambda: round_to_nearest(torch.full((2, 64), torch.nan)), "the weight holds NaN"),
        (lambda: round_to_nearest(torch.full((2, 64), 1e9)), "too large for a scale in 16 bits"),
        (lambda: awq(torch.full((2, 64), 3e38), GOOD, alphas=[1.0]), r"3e\+38 is too large for a scale in 16 bits"),
        (lambda: round_to_nearest(torch.empty(2, 64, device="meta")), "the weight is on the meta device"),
        (lambda: gptq(W8, torch.empty(64, 64, device="meta")), "H is on the meta device"),
        (lambda: read(torch.empty(2, 4, device="meta")), "what the layer reads is on the meta device"),
        (lambda: read(torch.full((2, 4), 1e30)), r"goes up to 1e\+30, and its squares no longer fit into fp32"),
        (lambda: gptq(W8, torch.zeros(64, 64)), "no calibration text has passed"),
        (lambda: gptq(W8, GOOD.H[:32, :32]), "H is k×k"),
        (lambda: gptq(W8, GOOD.H * torch.inf), "H holds NaN or infinity"),
        (lambda: gptq(W8, read(normal(4, 64)).H, damp=0.0), "cannot be inverted with damp = 0.0"),
        (lambda: awq(W8, Inputs(torch.zeros(64, 64), torch.zeros(64), 0)), "no calibration text has passed"),
        (lambda: awq(W8, GOOD, alphas=[]), "at least one alpha"),
        (lambda: read(torch.zeros(0, 64)), "give some calibration text"),
        (lambda: read(normal(64)), "X is tokens×k"),
        (lambda: read(torch.full((2, 4), torch.inf)), "reads holds NaN"),
    ],
)
def test_what_cannot_be_rounded_is_said(call, words):
    with pytest.raises(ValueError, match=words):
        call()
