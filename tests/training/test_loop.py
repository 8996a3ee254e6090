"""The loop: its loss falls, it repeats by seed, and covers each epoch."""

import copy
import dataclasses

import pytest
import torch
from short_run import SHORT, adapter, same

from lora_lessons import lora, models, tasks, training
from lora_lessons.training import Settings, train


def test_loss_falls_and_the_base_stays_bit_for_bit(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=4)
    digest = models.weights_digest(tiny_model)
    result = train(tiny_model, examples, dataclasses.replace(SHORT, steps=30), run_dir=tmp_path)
    assert result.losses[-1] < result.losses[0] - 0.1
    assert models.weights_digest(tiny_model) == digest
    assert result.supervised == 30 * 2 * 6 and result.tokens == 30 * 2 * 10


def test_same_seed_same_adapter_other_seed_another(tiny_model, examples, tmp_path):
    runs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        lora.attach(tiny_model, r=4)
        train(tiny_model, examples, dataclasses.replace(SHORT, seed=seed), run_dir=tmp_path / name)
        runs.append(adapter(tiny_model))
        lora.detach(tiny_model)
    assert same(runs[0], runs[1]) and not same(runs[0], runs[2])


def test_the_batches_cover_each_epoch():
    order = training.batches(10, Settings(steps=10, batch_size=2))
    assert sorted(sum(order[:5], [])) == list(range(10)) == sorted(sum(order[5:], []))
    assert order[:5] != order[5:], "each epoch has an order of its own"


@pytest.fixture
def uneven(examples):
    """The eight conversations with 6, 1, 3, 5, 6, 2, 4 and 0 supervised tokens."""
    for one, answer in zip(examples, (6, 1, 3, 5, 6, 2, 4, 0), strict=True):
        one.labels[: len(one.labels) - answer] = tasks.IGNORED
    return examples


def steps_of(model, examples, settings, folder):
    """Each step's gradients as AdamW hears them, by matrix, and the story of the run."""
    lora.attach(model, r=4)
    heard = []

    def listen(_):
        heard.append({name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad})

    return heard, train(model, examples, settings, run_dir=folder, on_step=listen)


@pytest.mark.parametrize("fast", [True, False])
def test_micro_batches_add_up_to_the_one_large_batch(tiny_model, uneven, tmp_path, fast):
    """In loss and gradients, whatever share of the answers each has: one of them may have none."""
    at_once = dataclasses.replace(SHORT, batch_size=4, fast=fast, learning_rate=1e-3)
    in_parts = [dataclasses.replace(at_once, batch_size=4 // k, gradient_accumulation_steps=k) for k in (2, 4)]
    wanted, one = steps_of(copy.deepcopy(tiny_model), uneven, at_once, tmp_path / "one")
    for settings in in_parts:
        assert training.batches(8, settings) == training.batches(8, at_once)
        found, several = steps_of(copy.deepcopy(tiny_model), uneven, settings, tmp_path / str(settings.batch_size))
        assert several.losses == pytest.approx(one.losses, rel=1e-5)
        assert (several.tokens, several.supervised) == (one.tokens, one.supervised)
        for mine, theirs in zip(found, wanted, strict=True):
            for name, gradient in theirs.items():
                assert (mine[name] - gradient).norm() <= 1e-4 * gradient.norm(), name


@pytest.mark.parametrize("half", [False, True])
def test_a_long_gradient_is_shortened_and_keeps_its_direction(tiny_model, uneven, tmp_path, half):
    """All matrices as one vector, and in fp16 once the loss's scale is out again:
    as torch's clip_grad_norm_ does it."""
    if half:
        tiny_model.half()
    plain = dataclasses.replace(SHORT, steps=1, batch_size=2, gradient_accumulation_steps=2)
    (wanted,), _ = steps_of(copy.deepcopy(tiny_model), uneven, plain, tmp_path / "plain")
    found_norm = torch.stack([gradient.norm() for gradient in wanted.values()]).norm().item()
    for most in (0.1 * found_norm, 10 * found_norm):
        settings = dataclasses.replace(plain, max_grad_norm=most)
        (found,), _ = steps_of(copy.deepcopy(tiny_model), uneven, settings, tmp_path / str(most))
        for name, gradient in wanted.items():
            assert torch.allclose(found[name], gradient * min(1.0, most / found_norm), rtol=1e-4, atol=1e-9), name
