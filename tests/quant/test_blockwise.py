"""A whole (tiny) model rounded block by block: what later blocks read, and that the weights come back."""

import pytest
import torch
from torch import nn

from lora_lessons.quant import blockwise
from lora_lessons.quant.gptq import gptq

NAMES = [
    f"model.layers.{i}.{part}"
    for i in range(2)
    for part in ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj")
]
HOW = {"bits": 3, "group": 16}


def batches(seed=0):
    return list(torch.randint(3, 128, (4, 2, 32), generator=torch.Generator().manual_seed(seed)))


def logits(model, ids):
    with torch.no_grad():
        return model(ids).logits


def test_collect_sums_up_what_each_layer_reads(tiny_model):
    seen: list[torch.Tensor] = []
    layer = tiny_model.get_submodule(NAMES[3])
    layer.register_forward_pre_hook(lambda _, args: seen.append(args[0].flatten(0, 1)))
    found = blockwise.collect(tiny_model, NAMES, batches())
    X = torch.cat(seen)
    assert set(found) == set(NAMES) and found[NAMES[3]].tokens == len(X) == 4 * 2 * 32
    assert torch.allclose(found[NAMES[3]].H, 2 * X.T @ X, rtol=1e-4, atol=1e-6)
    assert torch.allclose(found[NAMES[3]].mean_abs, X.abs().mean(0), rtol=1e-4)
    assert len(layer._forward_pre_hooks) == 1  # ours is gone


def test_later_blocks_are_calibrated_on_rounded_earlier_ones(tiny_model):
    """Block 1's weights are what GPTQ makes of what block 1 reads once block 0 is rounded,
    and not of what it read before."""
    name = NAMES[4]
    intact = {n: tiny_model.get_submodule(n).weight.detach().clone() for n in NAMES}
    before = blockwise.collect(tiny_model, [name], batches())[name].H
    rounded = blockwise.quantize_model(tiny_model, NAMES, "gptq", batches(), **HOW)
    after = blockwise.collect(tiny_model, [name], batches())[name].H  # block 0 is rounded now
    assert torch.equal(rounded[name].codes, gptq(intact[name], after, **HOW).codes)
    assert not torch.equal(rounded[name].codes, gptq(intact[name], before, **HOW).codes)


@pytest.mark.parametrize("method", blockwise.METHODS)
def test_a_models_weights_are_replaced_and_come_back_bit_for_bit(tiny_model, method):
    ids = batches(seed=9)[0]
    before = logits(tiny_model, ids)
    with pytest.raises(KeyboardInterrupt), blockwise.restored(tiny_model, NAMES):
        rounded = blockwise.quantize_model(tiny_model, NAMES, method, batches(), **HOW)
        assert list(rounded) == NAMES
        for name in NAMES:
            assert torch.equal(tiny_model.get_submodule(name).weight, rounded[name].dequantize())
        assert not torch.allclose(logits(tiny_model, ids), before)
        raise KeyboardInterrupt
    assert torch.equal(logits(tiny_model, ids), before)


def test_blocks_that_are_not_named_are_passed_through(tiny_model):
    name = NAMES[7]
    wanted = gptq(
        tiny_model.get_submodule(name).weight, blockwise.collect(tiny_model, [name], batches())[name].H, **HOW
    )
    assert torch.equal(blockwise.quantize_model(tiny_model, [name], "gptq", batches(), **HOW)[name].codes, wanted.codes)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((NAMES, "gtpq", [1]), "no method is named 'gtpq': choose from rtn, gptq, awq"),
        ((NAMES, "awq"), "awq needs calibration text"),
        ((["lm_head"], "rtn"), "blocks of one list"),
        ((["model.layers.0.mlp"], "rtn"), "only a Linear"),
    ],
)
def test_a_model_that_cannot_be_rounded_is_said(tiny_model, arguments, words):
    with pytest.raises(ValueError, match=words):
        blockwise.quantize_model(tiny_model, *arguments)


def test_collecting_without_text_is_said(tiny_model):
    with pytest.raises(ValueError, match="no calibration text"):
        blockwise.collect(tiny_model, NAMES, [])


def test_a_packed_layer_is_refused(tiny_model):
    tiny_model.model.layers[0].mlp.up_proj.weight = nn.Parameter(
        torch.zeros(64, 32, dtype=torch.uint8), requires_grad=False
    )
    with pytest.raises(ValueError, match="only a Linear"):
        blockwise.collect(tiny_model, ["model.layers.0.mlp.up_proj"], batches())
