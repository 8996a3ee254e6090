"""A layer in 4 bits: what it computes, what it keeps and does not keep, and that LoRA goes around it."""

import pytest
import torch
from random_weights import normal
from torch import nn

from lora_lessons import lora, quant


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_layer_is_a_linear_with_the_rounded_weight(bias, dtype):
    linear = nn.Linear(96, 64, bias=bias, dtype=dtype)
    layer = quant.QuantizedLinear(linear, "nf4", double=True)
    rounded = nn.Linear(96, 64, bias=bias, dtype=dtype)
    rounded.load_state_dict({"weight": quant.dequantize(layer.quantized)} | ({"bias": linear.bias} if bias else {}))
    x = normal(2, 5, 96).to(dtype).requires_grad_()
    y = x.detach().clone().requires_grad_()
    out, expected = layer(x), rounded(y)
    torch.testing.assert_close(out, expected)
    out.float().square().sum().backward()
    expected.float().square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    assert not any(p.requires_grad for p in layer.parameters())


def test_the_layer_keeps_no_16_bit_copy_for_backward():
    layer, kept = quant.QuantizedLinear(nn.Linear(256, 256, bias=False)), []
    x = normal(3, 256).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
        layer(x).sum().backward()
    assert sum(kept) == 0 and x.grad.any()
    assert sum(p.nbytes for p in layer.parameters()) == 256 * 256 // 2


def test_lora_goes_around_it_and_learns(tiny_model):
    names = lora.resolve_targets(tiny_model, "all-linear")
    quant.quantize_linears(tiny_model, names)
    assert lora.attach(tiny_model, r=2, lora_alpha=4) == names
    ids = torch.arange(8)[None]
    tiny_model(input_ids=ids, labels=ids).loss.backward()
    assert all(layer.lora_B.grad.any() for _, layer in lora.lora_layers(tiny_model))
    with pytest.raises(ValueError, match=r"is a LoRALinear: only"):
        quant.quantize_linears(tiny_model, names[:1])
    lora.detach(tiny_model)
    with pytest.raises(ValueError, match=r"is a QuantizedLinear: only"):
        quant.quantize_linears(tiny_model, names[:1])


@pytest.mark.parametrize("double", [False, True])
def test_its_state_is_saved_loaded_and_moved_whole(double):
    one, other = (quant.QuantizedLinear(nn.Linear(64, 64), double=double) for _ in range(2))
    x = normal(2, 64)
    assert not torch.equal(one(x), other(x))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x), other(x)), "codes without their scales would be another weight"
    assert all(t.is_meta for t in (*other.to("meta").quantized.scales.values(), other.quantized.packed))


def test_one_wrong_name_replaces_nothing(tiny_model):
    name = "model.layers.0.mlp.up_proj"
    for wrong, words in (("model.layers.0.mlp.no_proj", "no layer named"), ("model.layers.0.mlp", "only a Linear")):
        with pytest.raises(ValueError, match=words):
            quant.quantize_linears(tiny_model, [name, wrong])
        assert type(tiny_model.get_submodule(name)) is nn.Linear


def test_a_layer_without_numbers_is_refused():
    with pytest.raises(ValueError, match="on the meta device"):
        quant.QuantizedLinear(nn.Linear(64, 64, device="meta"))
