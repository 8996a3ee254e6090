"""What a layer reads, summed up; and the error of its outputs from the sums alone."""

import pytest
import torch
from random_weights import normal

from lora_lessons.quant.gptq import output_error, read, round_to_nearest


def test_h_and_the_error_are_those_of_the_outputs():
    X, W = normal(40, 16), normal(8, 16, seed=1)
    inputs, W_hat = read(X), round_to_nearest(W, 3, 16).dequantize()
    assert torch.allclose(inputs.H, 2 * X.T @ X) and torch.allclose(inputs.mean_abs, X.abs().mean(0))
    wanted = (X @ W.T - X @ W_hat.T).norm() / (X @ W.T).norm()
    assert output_error(W, W_hat, inputs.H) == pytest.approx(wanted.item(), rel=1e-4)


def test_an_output_of_zeros_has_no_error_until_something_is_added():
    H, W = read(normal(40, 16)).H, normal(8, 16)
    assert output_error(torch.zeros(8, 16), torch.zeros(8, 16), H) == 0
    assert output_error(torch.zeros(8, 16), W, H) == float("inf")
