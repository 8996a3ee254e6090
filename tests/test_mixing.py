"""Adapters in use: a swap leaves the base as it was, a sum is a sum, a merge is undone bit for bit; PEFT agrees."""

import copy

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tiny import make_adapter

from lora_lessons import lora, mixing, models, quant
from lora_lessons.adapter import attach_adapter, save_adapter


@pytest.fixture
def ids():
    return torch.arange(3, 19)[None]


def test_a_swap_leaves_the_base_bit_for_bit_also_after_an_error(tiny_model, ids):
    before = models.weights_digest(tiny_model.requires_grad_(False))
    bare = tiny_model(ids).logits
    one, two = make_adapter(tiny_model), make_adapter(tiny_model, "two", seed=2, targets=["q_proj"])
    seen = []
    for adapter in (one, two, one, None):
        with mixing.attached(tiny_model, adapter) as model:
            seen.append(model(ids).logits)
    assert torch.equal(seen[0], seen[2]) and not torch.allclose(seen[0], seen[1]) and torch.equal(seen[3], bare)
    with pytest.raises(KeyError), mixing.attached(tiny_model, one):
        raise KeyError
    assert not list(lora.lora_layers(tiny_model)) and models.weights_digest(tiny_model) == before


def test_the_factor_scales_the_update(tiny_model, ids):
    adapter = make_adapter(tiny_model, targets=["down_proj"])
    W = {name: tiny_model.get_submodule(name).weight for name in adapter.A}
    for given, factor in (((-1,), -1), ((0,), 0), ((0.5,), 0.5), ((1.5,), 1.5), ((), 1)):
        with mixing.attached(tiny_model, adapter, *given) as model:
            seen = model(ids).logits
        twin = copy.deepcopy(tiny_model)
        for name, weight in W.items():
            twin.get_submodule(name).weight.data = weight + factor * adapter.delta(name)
        torch.testing.assert_close(seen, twin(ids).logits)


def test_an_adapter_that_does_not_fit_is_refused_and_the_model_left_bare(tiny_model):
    adapter = make_adapter(tiny_model)
    wide = adapter._replace(A=adapter.A | {next(iter(adapter.A)): torch.ones(4, 99)})
    elsewhere = adapter._replace(A={"nope": torch.ones(4, 4)}, B={"nope": torch.ones(4, 4)})
    for wrong, said in ((wide, "another base model"), (elsewhere, "no module is named")):
        with pytest.raises(ValueError, match=said), mixing.attached(tiny_model, wrong):
            pass
        assert not list(lora.lora_layers(tiny_model))
    with (
        mixing.attached(tiny_model, adapter),
        pytest.raises(ValueError, match="already carries"),
        mixing.attached(tiny_model, adapter),
    ):
        pass


def test_a_weighted_sum_adds_the_updates_whatever_their_ranks_scales_and_targets(tiny_model, ids):
    name = "model.layers.1.mlp.up_proj"
    one = make_adapter(tiny_model, lora_alpha=8, rank_pattern={name: 3}, alpha_pattern={name: 5})
    two = make_adapter(tiny_model, "two", seed=2, targets=["q_proj", "up_proj"], r=2, use_rslora=True)
    total = mixing.weighted_sum([(one._replace(base_name="theirs"), 0.7), (two, -1.5)])
    assert total.r == 6 and len(total.A[name]) == 5 and total.base_name == "theirs"
    for name in one.A:
        expected = 0.7 * one.delta(name)
        if name in two.A:
            expected = expected - 1.5 * two.delta(name)
        torch.testing.assert_close(total.delta(name), expected)
    first = next(iter(one.A))
    for wrong, said in (
        ([], "nothing to add"),
        ([(one, 1), (two, torch.nan)], "the weight of two is nan"),
        (
            [(one, 1), (two._replace(A={first: torch.ones(2, 7)}, B={first: torch.ones(3, 2)}), 1)],
            f"{first} is .* other bases",
        ),
    ):
        with pytest.raises(ValueError, match=said):
            mixing.weighted_sum(wrong)


def test_peft_adds_them_to_the_same(tiny_model, ids, tmp_path):
    parts = {}
    for seed, name in enumerate(("one", "two")):
        adapter = make_adapter(tiny_model, name, seed)
        with mixing.attached(tiny_model, adapter):
            parts[name] = (adapter, save_adapter(tiny_model, tmp_path / name))
    with mixing.attached(tiny_model, mixing.weighted_sum([(parts["one"][0], 0.5), (parts["two"][0], 0.8)])) as model:
        ours = model(ids).logits
    theirs = PeftModel.from_pretrained(tiny_model, parts["one"][1], adapter_name="one")
    theirs.load_adapter(parts["two"][1], adapter_name="two")
    theirs.add_weighted_adapter(["one", "two"], [0.5, 0.8], "sum", combination_type="cat")
    theirs.set_adapter("sum")
    torch.testing.assert_close(ours, theirs(ids).logits, rtol=1e-4, atol=1e-5)


def test_a_sum_of_more_ranks_than_w_has_is_still_an_adapter(tiny_model, ids, tmp_path):
    parts = [(make_adapter(tiny_model, str(seed), seed, r=7, lora_alpha=3), 0.4) for seed in range(6)]
    total = mixing.weighted_sum(parts)
    for name in total.A:
        torch.testing.assert_close(total.delta(name), sum(weight * one.delta(name) for one, weight in parts))
    with mixing.attached(tiny_model, total) as model:
        ours = model(ids).logits
        folder = save_adapter(model, tmp_path / "sum")
    torch.testing.assert_close(ours, PeftModel.from_pretrained(tiny_model, folder)(ids).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_folding_in_is_undone_bit_for_bit_and_subtracting_is_not(tiny_model, ids, dtype):
    tiny_model.to(dtype)
    adapter = make_adapter(tiny_model)
    attach_adapter(tiny_model, adapter)
    before, apart = models.weights_digest(tiny_model), tiny_model(ids).logits
    with mixing.merged(tiny_model) as model:
        assert not list(lora.lora_layers(model)) and models.weights_digest(model) != before
        torch.testing.assert_close(model(ids).logits, apart, rtol=0.05, atol=0.06 if dtype == torch.bfloat16 else 1e-5)
    assert models.weights_digest(tiny_model) == before and torch.equal(tiny_model(ids).logits, apart)
    with pytest.raises(KeyError), mixing.merged(tiny_model):
        raise KeyError
    assert models.weights_digest(tiny_model) == before and len(list(lora.lora_layers(tiny_model))) == len(adapter.A)
    layer = next(layer for _, layer in lora.lora_layers(tiny_model))
    W, delta = layer.base_layer.weight, layer.delta().to(dtype)
    assert not torch.equal((W + delta) - delta, W)  # what an unmerge by subtraction would leave


@pytest.mark.parametrize("double", [False, True])
def test_merging_into_four_bits_is_what_peft_does_on_a_bitsandbytes_layer(double):
    import bitsandbytes as bnb

    torch.manual_seed(0)
    linear = torch.nn.Linear(128, 64, bias=False)
    q = quant.quantize(linear.weight, "nf4", 64, double)
    layer = bnb.nn.Linear4bit(
        128, 64, bias=False, quant_type="nf4", compress_statistics=double, compute_dtype=torch.float32
    )
    layer.weight = bnb.nn.Params4bit(
        linear.weight.data.clone(), requires_grad=False, quant_type="nf4", compress_statistics=double, module=layer
    )
    layer.to("cpu")
    net = torch.nn.Sequential(layer)
    net.is_loaded_in_4bit = True  # as transformers marks it: PEFT then takes its layer for bitsandbytes
    model = get_peft_model(net, LoraConfig(r=4, lora_alpha=8, target_modules=["0"]))
    (theirs,) = (
        module for module in model.modules() if hasattr(module, "lora_A") and hasattr(module, "get_delta_weight")
    )
    theirs.lora_B["default"].weight.data.normal_(0, 0.1)
    delta = theirs.get_delta_weight("default").detach()
    merged = model.merge_and_unload()[0].weight
    ours = mixing.merged_into_four_bits(q, delta)
    assert not torch.equal(ours.packed, q.packed)
    back = bnb.functional.dequantize_4bit(merged.data, merged.quant_state)
    torch.testing.assert_close(quant.dequantize(ours).float(), back.float(), rtol=0, atol=1e-6)
