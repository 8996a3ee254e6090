"""The control base, recorded: its task is drawn by the seed, its training repeats, its recording is whole."""

import torch

from lora_lessons import models
from lora_lessons.experiments import sweep
from lora_lessons.experiments.never_rounded import WAYS, recorded, weights
from workshop.record import encoder as never_rounded


def test_every_order_has_the_day_that_it_names():
    found = never_rounded.messages()
    assert len(found) == 280 and {one.day for one in found} == set(range(len(never_rounded.DAYS)))
    for one in found:
        day = never_rounded.DAYS[one.day]
        assert "JSON" not in one.text and (day is None or day.lower() in one.text.lower()), one.text


def test_a_seed_draws_whole_topics_and_no_two_seeds_the_same():
    splits = [never_rounded.split(never_rounded.messages(), seed) for seed in range(4)]
    for learn, held_out in splits:
        assert len(learn) + len(held_out) == 280 and len({one.topic for one in held_out}) == 8
        assert not {one.topic for one in learn} & {one.topic for one in held_out}
    assert len({tuple(one.text for one in held_out) for _, held_out in splits}) == 4


def test_training_repeats_by_seed_and_leaves_the_base_alone():
    encoder = models.load_encoder()
    kept = weights(encoder)
    one, again = (never_rounded.train(encoder, kept, "nf4+double", seed=3, steps=2) for _ in range(2))
    assert one == again and len(one["train_losses"]) == 2
    other = never_rounded.train(encoder, kept, "16-bit", seed=3, steps=2)
    assert (
        other["loss_held_out"] != one["loss_held_out"] and abs(other["train_losses"][0] - one["train_losses"][0]) < 0.2
    )
    assert not any("lora" in name for name, _ in encoder.model.named_parameters())
    assert all(torch.equal(encoder.model.get_submodule(name).weight, W) for name, W in kept.items())


def test_the_recording_is_whole_and_says_where_it_was_made():
    found = recorded()
    assert found["machine"] and found["date"] and found["versions"]["torch"]
    assert set(found["ranking"]) == set(WAYS) and found["as_bf16"] < 0.001
    seeds = {run["seed"] for run in found["runs"]}
    assert len(seeds) >= 8 and not seeds & set(never_rounded.TUNED_ON)
    rate = never_rounded.best_rate(found["tuning"])
    for base in never_rounded.BASES:
        runs = [run for run in found["runs"] if run["base"] == base]
        assert {run["seed"] for run in runs} == seeds and {run["learning_rate"] for run in runs} == {rate}
    assert sweep.summary([run["accuracy"] for run in found["runs"]]).mean > 0.5
