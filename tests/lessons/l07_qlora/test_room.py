"""What a layer keeps, and the trap step by step, on tiny models; the costs are read from the recordings."""

import pytest
import torch
from bitsandbytes.functional import has_avx512bf16
from tiny_folders import BF16, examples, make_folder, stock
from torch import nn

from lora_lessons import models, quant, tasks
from lora_lessons.experiments import sweep
from lora_lessons.lessons.l07_qlora import measured, pictures, trap
from lora_lessons.memory.tape import kept_for_backward


@pytest.fixture
def four_bit():
    layer = quant.QuantizedLinear(nn.Linear(64, 96, bias=False))
    layer(torch.zeros(1, 64))  # tables of levels are made once
    return layer


class Careless(torch.autograd.Function):
    """Keeps the dequantized weight on ctx, where saved-tensor hooks do not look."""

    @staticmethod
    def forward(ctx, x, q):
        ctx.W = quant.dequantize(q)
        return x @ ctx.W.T

    @staticmethod
    def backward(ctx, grad):
        return grad @ ctx.W, None


def test_what_is_put_on_ctx_is_seen_and_what_is_held_anyway_does_not_count(four_bit):
    x = torch.randn(4, 64, requires_grad=True)
    dequantized = 4 * 64 * 96

    def careless(x):
        return Careless.apply(x, four_bit.quantized)

    hooks = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: hooks.append(t) or t, lambda t: t):
        careless(x)
    assert hooks == [] and kept_for_backward(careless, x, four_bit) == dequantized
    assert kept_for_backward(four_bit, x, four_bit) == 0
    naive = kept_for_backward(lambda x: x @ quant.dequantize(four_bit.quantized).T, x, four_bit)
    assert naive == dequantized


@pytest.fixture
def folder(tmp_path, base_fp32):
    made = make_folder(tmp_path / "tiny")
    base_fp32.tokenizer.save_pretrained(made)
    return made


def ours(folder):
    return models.load(folder, "nf4", device="cpu", compute_dtype=torch.float32).model


@pytest.fixture
def batch():
    return tasks.collate(examples(), pad_id=0)


def test_in_the_trap_most_are_silent_at_step_0_and_wrong_at_step_1(folder, batch):
    closed, guarded = (trap.evaluated_then_adapted(ours(folder)) for _ in range(2))
    trap.close(closed)
    at_0, right_0 = trap.gradients(closed, batch), trap.gradients(guarded, batch)
    assert {name.split(".")[-4] for name in at_0 if at_0[name].any()} == {"o_proj", "down_proj"}
    assert trap.heard(right_0) == len(right_0) > trap.heard(at_0)
    trap.take_a_step(closed)
    trap.same_adapter(closed, guarded)
    at_1, right_1 = trap.gradients(closed, batch), trap.gradients(guarded, batch)
    assert trap.heard(at_1) > trap.heard(at_0), "B of o_proj is no longer zero"
    assert trap.cosines(at_1, right_1).median() < 0.9


@pytest.mark.skipif(
    not has_avx512bf16(), reason="NOT TESTED HERE: this processor has no AVX-512 bf16, so the trap is not there"
)
def test_the_trap_closed_by_hand_is_the_real_one(folder, batch):
    real, closed = trap.evaluated_then_adapted(stock(folder, BF16)), trap.evaluated_then_adapted(ours(folder))
    trap.close(closed)
    heard = [{name for name, g in trap.gradients(model, batch).items() if g.any()} for model in (real, closed)]
    assert heard[0] == heard[1]


def test_the_same_adapter_on_the_same_base_has_the_same_gradients(folder, batch):
    one, other = (trap.evaluated_then_adapted(ours(folder), seed) for seed in (0, 1))
    trap.gradients(one, batch)
    trap.take_a_step(one)
    assert trap.cosines(trap.gradients(one, batch), trap.gradients(other, batch)).min() < 0.99
    trap.same_adapter(one, other)
    assert trap.cosines(trap.gradients(one, batch), trap.gradients(other, batch)).min() > 0.999


def test_costs_are_the_paired_differences_of_the_recordings():
    for on in (measured.on_our_base(), measured.on_the_control()):
        costs = measured.costs(on)
        assert list(costs) == list(measured.RIVALS)
        first = {run["seed"]: run["loss_held_out"] for run in on["16-bit"]}
        differences = [run["loss_held_out"] - first[run["seed"]] for run in on["int4"]]
        assert costs["int4"].mean == pytest.approx(sum(differences) / len(differences))
        assert costs["int4"].low < costs["int4"].mean < costs["int4"].high
    assert len(measured.on_our_base()["16-bit"]) == 3 and len(measured.on_the_control()["16-bit"]) >= 8


def test_an_interval_that_reaches_zero_is_grey():
    rows = {
        "nf4+double": sweep.Summary(0.1, 0.05, 0.15, 3),
        "fp4": sweep.Summary(0.1, -0.05, 0.25, 3),
        "int4": sweep.Summary(-0.1, -0.15, -0.05, 3),
    }
    figure, words = pictures.costs_on_two_bases({"one base": rows, "another": rows})
    assert "one base, NF4 + double: 0.100 (0.050 to 0.150)." in words and "another, FP4" in words
    colors = [line.get_color() for line in figure.axes[0].lines if line.get_marker() == "s"]
    assert colors == [pictures.VERMILION, pictures.GREY, pictures.GREEN]
