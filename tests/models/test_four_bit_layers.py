"""Products a slice at a time are those of the whole, forward and backward."""

import bitsandbytes as bnb
import pytest
import torch
from tiny_folders import FP32
from torch import nn

from lora_lessons import models, quant
from lora_lessons.models import four_bit, frozen
from lora_lessons.models.four_bit import Format


def layer(kind, weight, bias, dtype):
    made = kind(
        weight.shape[1], weight.shape[0], bias is not None, compute_dtype=dtype, quant_type="nf4", device="meta"
    )
    made.weight = four_bit.quantized(weight.to(dtype), Format("nf4", dtype))
    made.bias = None if bias is None else nn.Parameter(bias.to(dtype), requires_grad=False)
    return models.keep_trainable(made)


@pytest.mark.parametrize("dtype, limit", [(torch.float32, 1e-6), (torch.bfloat16, 2**-7)])
@pytest.mark.parametrize("shape, biased", [((1000, 192), True), ((192, 960), False), ((512, 512), True)])
def test_slices_multiply_as_the_whole(monkeypatch, shape, biased, dtype, limit):
    monkeypatch.setattr(four_bit, "SLICE", 1 << 15)
    generator = torch.Generator().manual_seed(0)
    weight, x, g = (torch.randn(s, generator=generator) for s in (shape, (2, 9, shape[1]), (2, 9, shape[0])))
    bias = torch.linspace(-1, 1, shape[0]) if biased else None
    found = []
    for kind in (bnb.nn.Linear4bit, four_bit.SlicedLinear4bit):
        at = x.to(dtype).requires_grad_()
        out = layer(kind, weight, bias, dtype)(at)
        out.backward(g.to(dtype))
        found.append((out, at.grad))
    calls = []
    monkeypatch.setattr(four_bit, "_dequantized", lambda *a, real=four_bit._dequantized: calls.append(1) or real(*a))
    layer(four_bit.SlicedLinear4bit, weight, bias, dtype)(x.to(dtype))
    assert len(calls) > 5  # it was cut
    for mine, yours in zip(found[1], found[0], strict=True):
        assert ((mine - yours).abs().max() / yours.abs().max()).item() <= limit


def test_a_head_in_16_bits_computes_in_fp32_forward_and_backward(monkeypatch):
    monkeypatch.setattr(frozen, "ROWS", 10)
    wide = frozen.WidenedLinear(16, 37, bias=False, dtype=torch.bfloat16).requires_grad_(False)
    x = torch.randn(3, 5, 16, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    out, expected = wide(x), y @ wide.weight.float().T
    g = torch.randn_like(out)
    out.backward(g), expected.backward(g)
    assert out.dtype == torch.float32 and torch.allclose(out, expected, atol=1e-6)
    assert torch.allclose(x.grad, y.grad, atol=1e-6)


@pytest.mark.parametrize("k, d", [(96, 64), (160, 64), (32, 48), (576, 64)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_row_that_is_no_whole_number_of_blocks_is_computed_right(k, d, bias):
    """bitsandbytes' own layer is far off here on processors with AVX-512: the reference is the course's dequantize."""
    linear = nn.Linear(k, d, bias=bias)
    layer = four_bit.SlicedLinear4bit(k, d, bias=bias, compute_dtype=torch.float32, quant_type="nf4")
    layer.weight, layer.bias = four_bit.quantized(linear.weight.detach(), FP32), linear.bias
    layer.support_avx512bf16_for_cpu = False
    W = quant.dequantize(quant.quantize(linear.weight, double=True))
    x, y = (torch.linspace(-1, 1, 3 * k).view(3, k).requires_grad_() for _ in range(2))
    out, expected = layer(x), nn.functional.linear(y, W, linear.bias)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    out.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)
