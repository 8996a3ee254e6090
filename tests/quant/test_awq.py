"""AWQ against round-to-nearest and the paper's formula."""

import pytest
import torch
from random_weights import correlated, normal

from lora_lessons.quant.gptq import ALPHAS, awq, output_error, read, round_to_nearest


def test_awq_with_alpha_0_is_round_to_nearest():
    W, inputs = normal(8, 64), read(correlated())
    ours, plain = awq(W, inputs, 3, 16, alphas=[0]), round_to_nearest(W, 3, 16)
    assert torch.equal(ours.codes, plain.codes) and ours.channels is None


@pytest.mark.parametrize("seed", range(4))
def test_awqs_search_takes_the_best_and_is_never_worse_than_round_to_nearest(seed):
    W, inputs = normal(32, 64, seed=seed), read(correlated(seed=10 * seed))
    found = [output_error(W, awq(W, inputs, 3, 16, alphas=[a]).dequantize(), inputs.H) for a in ALPHAS]
    best = output_error(W, awq(W, inputs, 3, 16).dequantize(), inputs.H)
    assert best == min(found) <= found[0]
    assert best < 0.95 * found[0]


def test_awq_keeps_the_function_until_it_rounds():
    """With 8 bits and tiny groups hardly anything is rounded: what remains is W, so s is divided out again."""
    W, inputs = normal(8, 64), read(correlated())
    ours = awq(W, inputs, 8, 1, alphas=[1.0])
    assert ours.channels.max() > 3 * ours.channels.min()
    assert (ours.dequantize() - W).norm() < 5e-3 * W.norm()


def test_awq_follows_the_papers_formula():
    W, inputs = normal(8, 64), read(correlated())
    s = inputs.mean_abs**0.5
    s = (s / s.log().mean().exp()).half()
    plain = round_to_nearest(W * s, 4, 32).dequantize() / s.float()
    assert torch.allclose(awq(W, inputs, 4, 32, alphas=[0.5]).dequantize(), plain, rtol=1e-2)


def test_awq_leaves_a_channel_that_is_never_read_finite():
    X = correlated()
    X[:, 5] = 0
    ours = awq(normal(8, 64), read(X), 4, 64, alphas=[1.0])
    assert torch.isfinite(ours.dequantize()).all() and ours.channels[5] == 1


def test_awq_of_an_fp16_weight_is_that_of_the_same_numbers_in_fp32():
    """Products with a loud channel's s do not fit into fp16: they were refused as infinities in the weight."""
    W, inputs = 3000 * normal(8, 64).half(), read(correlated())
    ours, wide = awq(W, inputs, alphas=[1.0]), awq(W.float(), inputs, alphas=[1.0])
    assert torch.equal(ours.codes, wide.codes) and torch.equal(ours.scales, wide.scales)
