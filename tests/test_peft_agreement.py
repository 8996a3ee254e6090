"""Our layer and PEFT's are the same: on six blocks of the real base, in fp32, with the same A and B. (Lesson 04 has all
thirty.)"""

import copy

import peft
import pytest
import torch
from tiny import shake

from lora_lessons import lora, tasks
from lora_lessons.adapter import load_adapter, save_adapter

LIMIT = 1e-5
SETTINGS = {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj", "down_proj"]}


@torch.no_grad()
def copy_adapter(ours, wrapped):
    """Give every lora_B a value, and PEFT's layers the same A and B."""
    shake(ours, 0.02)
    for name, layer in lora.lora_layers(ours):
        other = wrapped.base_model.model.get_submodule(name)
        other.lora_A["default"].weight.copy_(layer.lora_A)
        other.lora_B["default"].weight.copy_(layer.lora_B)


@pytest.fixture(scope="module")
def model(base_fp32):
    cut = copy.deepcopy(base_fp32.model)
    del cut.model.layers[6:]
    return cut


@pytest.fixture(scope="module")
def batch(base_fp32):
    examples = tasks.load_task("persona").train[:2]
    return tasks.collate([tasks.encode(base_fp32.tokenizer, e) for e in examples], pad_id=2)


def difference(ours, wrapped, of):
    """The largest |ours − theirs| over all lora_A and lora_B of what `of` takes from a parameter."""
    worst = 0.0
    for name, layer in lora.lora_layers(ours):
        other = wrapped.base_model.model.get_submodule(name)
        for mine, yours in (
            (layer.lora_A, other.lora_A["default"].weight),
            (layer.lora_B, other.lora_B["default"].weight),
        ):
            worst = max(worst, (of(mine) - of(yours)).abs().max().item())
    return worst


def test_outputs_gradients_five_steps_and_merge_agree(model, batch):
    ours, theirs = copy.deepcopy(model), copy.deepcopy(model)
    lora.attach(ours, **SETTINGS)
    wrapped = peft.get_peft_model(theirs, peft.LoraConfig(task_type="CAUSAL_LM", **SETTINGS))
    copy_adapter(ours, wrapped)
    both = (ours, wrapped)
    optimizers = [torch.optim.AdamW((p for p in m.parameters() if p.requires_grad), lr=1e-3) for m in both]
    for step in range(5):
        one, two = (m(**batch) for m in both)
        assert (one.logits - two.logits).abs().max() <= LIMIT
        one.loss.backward(), two.loss.backward()
        assert difference(ours, wrapped, lambda p: p.grad) <= LIMIT, f"gradients part at step {step}"
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    assert difference(ours, wrapped, lambda p: p.detach()) <= LIMIT
    lora.merge(ours)
    merged = dict(wrapped.merge_and_unload().named_parameters())
    assert max((p - merged[name]).abs().max().item() for name, p in ours.named_parameters()) <= LIMIT


@pytest.mark.parametrize("rslora", [False, True])
def test_our_folder_loads_in_peft_and_theirs_in_ours(model, batch, tmp_path, rslora):
    ours = copy.deepcopy(model)
    lora.attach(ours, use_rslora=rslora, **SETTINGS)
    shake(ours, 0.02)
    with torch.no_grad():
        expected = ours(**batch).logits
        wrapped = peft.PeftModel.from_pretrained(copy.deepcopy(model), save_adapter(ours, tmp_path / "ours"))
        assert torch.allclose(wrapped(**batch).logits, expected, atol=1e-4)
        wrapped.save_pretrained(tmp_path / "theirs")
        lora.detach(ours)
        load_adapter(ours, tmp_path / "theirs")
        assert torch.allclose(ours(**batch).logits, expected, atol=1e-4)


def test_all_linear_means_the_same_layers(base_fp32):
    ours = copy.deepcopy(base_fp32.model)
    names = set(lora.attach(ours, target_modules="all-linear"))
    wrapped = peft.get_peft_model(
        copy.deepcopy(base_fp32.model), peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear")
    )
    assert names == {
        n for n, m in wrapped.base_model.model.named_modules() if isinstance(m, peft.tuners.lora.LoraLayer)
    }
    assert lora.trainable_parameters(ours) == lora.trainable_parameters(wrapped)


def test_peft_accepts_the_typo_that_we_refuse(base_fp32):
    """peft#1959: a wrong name beside a right one is silently ignored there, and an error here."""
    config = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "v_prj"])
    wrapped = peft.get_peft_model(copy.deepcopy(base_fp32.model), config)
    assert not any("v_proj.lora_A" in name for name, _ in wrapped.named_parameters())
    with pytest.raises(ValueError, match="Did you mean 'v_proj'"):
        lora.attach(copy.deepcopy(base_fp32.model), target_modules=["q_proj", "v_prj"])
