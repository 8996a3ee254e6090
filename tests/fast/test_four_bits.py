"""A base in 4 bits on a processor: the fast path multiplies by slices of W,
and gives the plain way's loss and gradients."""

import pytest
import torch
from tiny import shake
from tiny_configs import SMALL_7B
from torch import nn
from two_ways import assert_same, batch, loss_and_gradients

from lora_lessons import lora, memory, models, training
from lora_lessons.fast import FastPath, why_not
from lora_lessons.memory.tape import out_and_kept
from lora_lessons.models import four_bit, frozen
from lora_lessons.models.four_bit import SlicedLinear4bit
from lora_lessons.training.losses import plain

FP32, BF16 = torch.float32, torch.bfloat16


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """gate, up and down are cut in several slices, k and v are too small for it; and the widened head is cut."""
    monkeypatch.setattr(four_bit, "SLICE", 1 << 15)
    monkeypatch.setattr(frozen, "ROWS", 100)


def adapted(name="Qwen2.5-7B", dtype=FP32, targets="all-linear", **sizes):
    """A small random base in NF4 with biases and adapters that are no longer at their start."""
    model = models.random_base(name, device="cpu", compute_dtype=dtype, **SMALL_7B | {"sliding_window": None} | sizes)
    torch.manual_seed(0)
    for parameter_name, p in model.named_parameters():
        if parameter_name.endswith("proj.bias"):
            nn.init.normal_(p, std=0.3)
    lora.attach(model, r=4, lora_alpha=8, target_modules=targets)
    shake(model, 0.05)
    return model


# 96 numbers are no whole number of blocks of 64
SIZES = [{}, {"tie_word_embeddings": True}, {"hidden_size": 96}, {"intermediate_size": 320}]


@pytest.mark.parametrize("name", ["Llama-2-7B", "Mistral-7B", "Qwen2.5-7B"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_loss_and_every_gradient_are_the_plain_ways(name, sizes):
    model = adapted(name, **sizes)
    assert why_not(model) == "" and type(model.model.layers[0].mlp.up_proj.base_layer) is SlicedLinear4bit
    assert_same(model)


@pytest.mark.parametrize("sizes", SIZES[1:3], ids=str)
def test_in_bf16_they_differ_by_rounding(sizes):
    model = adapted(dtype=BF16, **sizes)
    assert why_not(model) == ""
    assert_same(model, limit=0.1)


@pytest.mark.parametrize("dtype", [FP32, BF16])
@pytest.mark.parametrize("targets", ["all-linear", ["q_proj"]])
def test_nothing_of_an_unpacked_weight_is_kept(dtype, targets):
    """What lives on after forward is what lives on above the same base in 16 or 32 bits."""
    model, kept = adapted(dtype=dtype, targets=targets), []
    for _ in range(2):
        path = FastPath(model)
        kept.append(out_and_kept(lambda examples, path=path: path.loss(examples), batch(), model)[1])
        for name, module in list(model.named_modules()):
            if isinstance(module, SlicedLinear4bit):
                whole = nn.Linear(module.in_features, module.out_features, bias=module.bias is not None, dtype=dtype)
                model.set_submodule(name, whole.requires_grad_(False))
    assert kept[0] == kept[1] > 0


def test_no_more_than_a_slice_is_unpacked_at_a_time(monkeypatch):
    """Nor does a base that computes in fp32 hold its 16-bit head in 32 bits."""
    model, sizes = adapted(), []
    heard = lambda real: lambda *a: sizes.append((made := real(*a)).numel()) or made  # noqa: E731
    for name in ("_dequantized", "_whole"):
        monkeypatch.setattr(four_bit, name, heard(getattr(four_bit, name)))
    path = memory.TapedPath(model)
    path.loss(batch()).backward()
    assert len(sizes) > 50 and max(sizes) <= 2 * four_bit.SLICE // FP32.itemsize
    assert type(model.lm_head) is frozen.WidenedLinear and not list(path.copies())


def test_an_evaluation_before_training_changes_nothing():
    """bitsandbytes' own layer would be repacked by it on processors with AVX-512 bf16, and give no gradients."""
    model = adapted(dtype=BF16)
    for module in model.modules():
        if isinstance(module, SlicedLinear4bit):
            module.support_avx512bf16_for_cpu = True
    _, wanted = loss_and_gradients(model, FastPath(model).loss, batch())
    with torch.no_grad():
        model.eval()(input_ids=batch()[0].input_ids[None])
    _, found = loss_and_gradients(model.train(), FastPath(model).loss, batch())
    assert all(found[name].equal(gradient) for name, gradient in wanted.items())


@pytest.mark.parametrize("autocast", [False, True])
def test_a_run_by_either_way_learns_the_same_in_one_batch_or_two(autocast, capsys):
    found = []
    for fast, size in ((True, 4), (True, 2), (False, 4)):
        how = training.Settings(
            steps=4,
            batch_size=size,
            gradient_accumulation_steps=4 // size,
            learning_rate=1e-2,
            checkpoint_every=0,
            fast=fast,
            autocast=autocast,
        )
        examples = batch([(9, 5), (14, 3), (11, 8), (8, 8)])
        found.append(training.train(adapted(), examples, how, reuse=False).losses)
    near = 5e-3 if autocast else 1e-5
    assert found[0] == pytest.approx(found[2], rel=near) and found[1] == pytest.approx(found[2], rel=near)
    assert found[0][-1] < found[0][0] and "plain way" not in capsys.readouterr().out


def test_peft_on_the_same_bitsandbytes_layers_gives_the_same_gradients():
    import bitsandbytes as bnb
    from peft import LoraConfig, get_peft_model

    ours, theirs = adapted(), adapted()
    _, found = loss_and_gradients(ours, FastPath(ours).loss, batch())
    lora.detach(theirs)
    four_bit.make_stock(theirs)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    wrapped = get_peft_model(theirs, config)
    layers = dict(lora.lora_layers(ours))
    for name, layer in layers.items():
        peft_layer = theirs.get_submodule(name)
        assert type(peft_layer).__name__ == "Linear4bit" and type(peft_layer.base_layer) is bnb.nn.Linear4bit
        peft_layer.lora_A["default"].weight.data.copy_(layer.lora_A)
        peft_layer.lora_B["default"].weight.data.copy_(layer.lora_B)
    loss_and_gradients(wrapped, plain(wrapped), batch())
    for name in layers:
        for matrix in ("lora_A", "lora_B"):
            wanted = getattr(theirs.get_submodule(name), matrix)["default"].weight.grad
            assert (found[f"{name}.{matrix}"] - wanted).norm() <= 1e-5 * wanted.norm(), name
