"""The loop: its loss falls, it repeats by seed, and covers each epoch."""

import dataclasses

from short_run import SHORT, adapter, same

from lora_lessons import lora, models, training
from lora_lessons.training import Settings, train


def test_loss_falls_and_the_base_stays_bit_for_bit(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=4)
    digest = models.weights_digest(tiny_model)
    result = train(tiny_model, examples, dataclasses.replace(SHORT, steps=30), run_dir=tmp_path)
    assert result.losses[-1] < result.losses[0] - 0.1
    assert models.weights_digest(tiny_model) == digest
    assert result.supervised == 30 * 2 * 6 and result.tokens == 30 * 2 * 10


def test_same_seed_same_adapter_other_seed_another(tiny_model, examples, tmp_path):
    state, runs = {k: v.clone() for k, v in tiny_model.state_dict().items()}, []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        tiny_model.load_state_dict(state)
        lora.attach(tiny_model, r=4)
        train(tiny_model, examples, dataclasses.replace(SHORT, seed=seed), run_dir=tmp_path / name)
        runs.append(adapter(tiny_model))
        lora.detach(tiny_model)
    assert same(runs[0], runs[1]) and not same(runs[0], runs[2])


def test_the_batches_cover_each_epoch():
    order = training.batches(10, Settings(steps=10, batch_size=2))
    assert sorted(sum(order[:5], [])) == list(range(10)) == sorted(sum(order[5:], []))
    assert order[:5] != order[5:], "each epoch has an order of its own"
