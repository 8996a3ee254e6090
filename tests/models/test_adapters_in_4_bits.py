"""Adapters on a base in 4 bits: PEFT's losses, no merging, and a digest that sees every part of a weight."""

import copy

import peft
import pytest
import torch
from tiny_folders import adapted, examples, ours, steps

from lora_lessons import lora, models, training


@pytest.mark.parametrize("dtype, limit", [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_peft_on_the_same_base_has_the_same_losses(tokenized, dtype, limit):
    one = models.load(tokenized, "nf4", device="cpu", compute_dtype=dtype).model
    other = copy.deepcopy(one)
    lora.attach(one, 4, 8)
    wrapped = peft.get_peft_model(
        other, peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    for name, layer in lora.lora_layers(one):
        theirs = wrapped.base_model.model.get_submodule(name)
        assert isinstance(theirs, peft.tuners.lora.bnb.Linear4bit)
        with torch.no_grad():
            theirs.lora_A["default"].weight.copy_(layer.lora_A)
    mine, yours = steps(one)[0], steps(wrapped)[0]
    assert mine == pytest.approx(yours, abs=limit) and mine[-1] < mine[0] - 0.05


def test_a_packed_weight_cannot_be_merged_into(tokenized):
    model = adapted(tokenized, ours)
    digest = models.weights_digest(model)
    for merge in (lambda: lora.merge(model), lambda: next(iter(lora.lora_layers(model)))[1].merged()):
        with pytest.raises(
            ValueError, match=r"packed in 4 bits.*load the base in 16 bits, load_adapter there, and merge that"
        ):
            merge()
    assert models.weights_digest(model) == digest and len(list(lora.lora_layers(model))) == 14


@pytest.mark.parametrize("part", ["codes", "absmax", "nested_absmax", "offset"])
def test_digest_and_fingerprint_see_every_part_of_a_packed_weight(tokenized, part):
    model = adapted(tokenized, ours)
    digest, mark = models.weights_digest(model), training.fingerprint(model, examples(), training.Settings())
    assert training.fingerprint(adapted(tokenized, ours), examples(), training.Settings()) == mark
    weight = model.model.layers[0].mlp.up_proj.base_layer.weight
    state = weight.quant_state
    tensor = {
        "codes": weight.data,
        "absmax": state.absmax,
        "nested_absmax": state.state2.absmax,
        "offset": state.offset,
    }[part]
    tensor.view(-1)[:1] += 1
    assert models.weights_digest(model) != digest
    assert training.fingerprint(model, examples(), training.Settings()) != mark


def test_a_large_base_is_known_by_its_source(tokenized, keep_all, monkeypatch, tmp_path):
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    model = adapted(tokenized, ours)
    mark = training.fingerprint(model, examples(), training.Settings())
    seen = []
    monkeypatch.setattr(models, "parameter_bytes", lambda p, real=models.parameter_bytes: seen.append(p) or real(p))
    assert training.fingerprint(model, examples(), training.Settings()) == mark
    assert seen and all(p.requires_grad for p in seen)  # the frozen ones were not read
    with torch.no_grad():
        next(p for p in model.parameters() if p.requires_grad).add_(1)
    assert training.fingerprint(model, examples(), training.Settings()) != mark
