"""AdamW in its kinds: LoRA+ as PEFT has it, 8-bit moments, paged ones refused on a CPU."""

import copy
import dataclasses

import peft
import peft.optimizers
import pytest
import torch
from short_run import SHORT, adapter
from tiny import make_tiny_model

from lora_lessons import lora, tasks, training
from lora_lessons.training import Settings, train


def test_lr_ratio_is_pefts_lora_plus(tiny_model, examples, tmp_path):
    settings, trained = dataclasses.replace(SHORT, lr_ratio=16.0, weight_decay=0.5), []
    for library in (False, True):
        torch.manual_seed(0)
        config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear")
        model = peft.get_peft_model(copy.deepcopy(tiny_model), config)
        if not library:
            losses = train(model, examples, settings, run_dir=tmp_path).losses
        else:
            losses = _loop(model, examples, settings, peft.optimizers.create_loraplus_optimizer)
        trained.append((losses, adapter(model)))
    (ours, mine), (theirs, yours) = trained
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert mine.keys() == yours.keys() and all(torch.allclose(mine[n], yours[n], atol=1e-6) for n in mine)
    lora.attach(tiny_model, r=4, lora_alpha=8)
    plain = train(tiny_model, examples, SHORT, run_dir=tmp_path / "plain").losses
    assert plain[-1] != pytest.approx(ours[-1], abs=1e-3), "the ratio matters"


def _loop(model, examples, settings, create):
    """PEFT's LoRA+ in the shortest loop: each group's own rate, times where the schedule stands."""
    rates = {"lr": settings.learning_rate, "loraplus_lr_ratio": settings.lr_ratio}
    optimizer = create(model, torch.optim.AdamW, **rates, loraplus_weight_decay=settings.weight_decay)
    peak, losses = [group["lr"] for group in optimizer.param_groups], []
    for step, batch in enumerate(training.batches(len(examples), settings)):
        for group, rate in zip(optimizer.param_groups, peak, strict=True):
            group["lr"] = rate * settings.rate(step) / settings.learning_rate
        loss = model.train()(**tasks.collate([examples[i] for i in batch], pad_id=0)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_8_bit_moments_are_a_quarter_and_train_alike(examples, tmp_path):
    """bitsandbytes keeps moments of fewer than 4,096 numbers in fp32, so this needs a wider layer."""
    found = {}
    for optimizer in ("adamw", "adamw_8bit"):
        model = make_tiny_model()
        model.requires_grad_(False)
        model.model.embed_tokens.requires_grad_(True)  # 128 × 32 numbers
        settings = dataclasses.replace(SHORT, steps=20, learning_rate=1e-3, optimizer=optimizer)
        found[optimizer] = train(model, examples, settings, run_dir=tmp_path / optimizer)
    assert found["adamw"].optimizer_bytes == 2 * 4 * 4096
    assert found["adamw_8bit"].optimizer_bytes == 2 * (4096 + 4 * 4096 // 256)
    assert found["adamw_8bit"].losses == pytest.approx(found["adamw"].losses, abs=0.05)
    assert found["adamw_8bit"].losses != found["adamw"].losses


def test_a_paged_optimizer_needs_a_card_and_an_unknown_one_is_named(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=4)
    for paged in ("paged_adamw", "paged_adamw_8bit"):
        with pytest.raises(ValueError, match="on a CPU choose 'adamw_8bit' or 'adamw'"):
            train(tiny_model, examples, dataclasses.replace(SHORT, optimizer=paged), run_dir=tmp_path)
    known = "adamw, adamw_fused, adamw_8bit, paged_adamw, paged_adamw_8bit"
    with pytest.raises(ValueError, match=f"'sgd' is not known: choose from {known}"):
        Settings(optimizer="sgd")
