"""GPTQ against the optimal-brain textbook, and against round-to-nearest."""

import pytest
import torch
from random_weights import correlated, grid_marks, normal

from lora_lessons.quant.gptq import gptq, output_error, read, round_to_nearest


def optimal_brain(W, H, bits, group, symmetric, damp):
    """Optimal brain quantization (Frantar & Alistarh 2022) in the order left to right, row by row,
    H⁻¹ updated by Gauss."""
    d, k = W.shape
    W = W.double().clone()
    H = H.double() + damp * H.double().diagonal().mean() * torch.eye(k, dtype=torch.float64)
    for row in range(d):
        inverse = torch.linalg.inv(H)
        grids = [grid_marks(group_of, bits, symmetric) for group_of in W[row].clone().split(group)]
        for i in range(k):
            marks = grids[i // group]
            rounded = marks[(marks - W[row, i]).abs().argmin()]
            step = (W[row, i] - rounded) / inverse[i, i] * inverse[i]
            step[:i] = 0  # those are rounded already
            W[row] -= step
            W[row, i] = rounded
            inverse = inverse - inverse[:, i : i + 1] @ inverse[i : i + 1] / inverse[i, i]
    return W


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits, group", [(4, 8), (3, 16), (2, 48)])
def test_gptq_is_the_optimal_brain_textbook(bits, group, symmetric):
    W, H = normal(5, 48), read(correlated(200, 48)).H.double()
    ours = gptq(W, H, bits, group, symmetric, damp=0.01).dequantize()
    assert torch.allclose(ours.double(), optimal_brain(W, H, bits, group, symmetric, 0.01), atol=1e-5)


@pytest.mark.parametrize("by_activation", [False, True])
@pytest.mark.parametrize("bits", [3, 4])
def test_gptq_beats_round_to_nearest_where_inputs_are_correlated(bits, by_activation):
    W, inputs = normal(64, 64), read(correlated())
    plain = output_error(W, round_to_nearest(W, bits, 32).dequantize(), inputs.H)
    ours = output_error(W, gptq(W, inputs.H, bits, 32, by_activation=by_activation).dequantize(), inputs.H)
    assert ours < 0.7 * plain


@pytest.mark.parametrize("by_activation", [False, True])
def test_gptq_is_round_to_nearest_where_inputs_are_independent(by_activation):
    W, H = normal(8, 64), torch.diag(torch.rand(64, generator=torch.Generator().manual_seed(0)) + 0.1)
    ours, plain = gptq(W, H, 3, 16, by_activation=by_activation), round_to_nearest(W, 3, 16)
    assert all(torch.equal(a, b) for a, b in zip(ours[:3], plain[:3], strict=True))


def test_act_order_rounds_the_loudest_column_first_and_leaves_the_result_in_its_place():
    X = correlated()
    loud = int(read(X).H.diagonal().argmax())
    W, H = normal(16, 64), read(X).H
    ours, plain = gptq(W, H, 3, 16, by_activation=True).dequantize(), round_to_nearest(W, 3, 16).dequantize()
    assert torch.equal(ours[:, loud], plain[:, loud])  # nothing was passed on to the first
    assert not torch.equal(ours, plain)


def test_a_column_that_is_never_read_is_rounded_to_nearest_and_disturbs_nothing():
    X = correlated()
    X[:, 5] = 0
    W, plain = normal(8, 64), round_to_nearest(normal(8, 64), 4, 64).dequantize()
    ours = gptq(W, read(X).H, 4, 64).dequantize()
    assert torch.isfinite(ours).all() and torch.equal(ours[:, 5], plain[:, 5])
