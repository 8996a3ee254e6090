"""Adapters on a base in 4 bits: PEFT's losses, no merging, and a digest that sees every part of a weight."""

import pytest
import torch
from tiny_folders import adapted, examples, ours

from lora_lessons import lora, models, training


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
