"""Arms as PEFT ships them, a rate for each, and a recording that goes on where it was stopped."""

import math

import pytest
import torch
from tiny import make_tiny_base

from lora_lessons import evaluation, models, tasks
from lora_lessons.errors import ModelError
from lora_lessons.experiments import recordings
from lora_lessons.experiments.sizes.cells import SIZES
from lora_lessons.models import EMBEDDED
from lora_tools.papers import arms
from lora_tools.papers import recording as kept_as
from lora_tools.papers.rates import best_rate
from workshop.record.papers import recording, training_arms, watching
from workshop.record.rates import next_rate

NOW = SIZES[EMBEDDED]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)


def searched(loss, first, ladder=arms.LADDER):
    """The rates that a search tries."""
    found = {}
    while rate := next_rate(found, ladder, first):
        found[rate] = loss(rate)
    return found


def test_a_rate_is_searched_until_both_neighbours_of_the_best_are_worse():
    lowest = arms.LADDER[7]
    found = searched(lambda rate: abs(math.log2(rate / lowest)), arms.LADDER[9])
    assert sorted(found) == [arms.LADDER[step] for step in (6, 7, 8, 9, 10)]
    assert len(searched(lambda rate: abs(math.log2(rate / lowest)), lowest)) == 3
    assert set(searched(lambda rate: rate, 1, [1, 2, 4])) == {1, 2}, "the end of the ladder has one neighbour"
    most = {}
    while rate := next_rate(most, [1, 2, 4, 8], 1, best=max):
        most[rate] = -abs(rate - 4)
    assert best_rate(most, max) == 4


@pytest.fixture
def base(monkeypatch):
    monkeypatch.setattr(models, "load", lambda *_, **__: make_tiny_base())
    monkeypatch.setattr(evaluation, "perplexity", lambda *_: 12.0)
    monkeypatch.setattr(watching, "ASKED", 2)
    monkeypatch.setattr(watching, "LONGEST", 4)
    task = tasks.load_task("persona")
    few = [one for one in task.train if one["topic"] == arms.TOPIC][:4]
    monkeypatch.setattr(tasks, "load_task", lambda _: task._replace(train=few, held_out=task.held_out[:2]))


def test_every_arm_trains_what_it_says(base):
    for name, arm in arms.ARMS.items():
        model = training_arms.put_on(make_tiny_base().model, arm, 0)
        trained = {one: p.numel() for one, p in model.named_parameters() if p.requires_grad}
        if arm.method == "full":
            assert len(trained) == len(list(model.parameters()))
        else:
            part = {"attention": "self_attn", "mlp": "mlp", "one": "layers.1.mlp.down_proj"}.get(arm.targets, "")
            assert trained and all(part in one for one in trained), name


@pytest.mark.parametrize("name", (*arms.VARIANTS, "mask", "TinyLoRA"))
def test_every_method_of_peft_learns_in_our_loop(base, name):
    """Its first step leaves a gradient wherever there must be one, or the loop would stop the run."""
    found = training_arms.one_run("tiny", arms.ARMS[name]._replace(steps=1), 1e-2, 0)
    assert found["loss"] is not None, found.get("stopped")


def test_a_run_keeps_its_loss_and_what_was_watched(base):
    short = arms.ARMS["LoRA"]._replace(steps=watching.LOOK, r=2)
    found = training_arms.one_run("tiny", short, 1e-3, 1, ("curve", "intruders", "reach", "scaled", "spills"))
    assert found["loss"] > 0 and found["seed"] == 1 and found["trained"] > 0
    (look,) = found["curve"]
    assert look["step"] == watching.LOOK and look["loss"] == pytest.approx(found["loss"]) and look["general"] == 12.0
    assert (
        0 <= found["intruders"] <= 10
        and 0 < found["reach"] < 9
        and [one["kept"] for one in found["scaled"]] == [1.0, *watching.KEPT]
    )
    assert found["scaled"][0]["loss"] == pytest.approx(found["loss"])
    one = arms.ARMS["tea, one matrix"]._replace(steps=2)
    assert [at["times"] for at in training_arms.one_run("tiny", one, 1e-3, 0, ("steers",))["steers"]] == list(
        watching.TIMES
    )
    assert training_arms.one_run("tiny", arms.ARMS["full"]._replace(steps=2), 1e-4, 0)["loss"] > 0


def test_an_intruder_is_a_strong_direction_that_w_does_not_have():
    layer = torch.nn.Linear(16, 40, bias=False)
    layer.weight.data = torch.eye(40, 16) * torch.arange(16.0, 0, -1)
    model = torch.nn.Sequential(layer)
    before = watching.copies(model, ["0"])
    assert watching.intruders(model, before) == 0
    layer.weight.data[20, 15] = 50  # W never wrote into its row 20
    assert watching.intruders(model, before) == 1
    # as strong as W's tenth, 7: half of the changes are weaker
    assert watching.reach((before["0"], torch.eye(40, 16) * size) for size in (0, 7, 50)) == pytest.approx(1)


def test_a_run_that_diverges_has_no_loss_and_says_why(base, monkeypatch):
    def diverges(*_, **__):
        raise ModelError("NaN.")

    monkeypatch.setattr(evaluation, "held_out_loss", diverges)
    found = training_arms.one_run("tiny", arms.ARMS["LoRA"]._replace(steps=1, r=1), 1e-3, 0)
    assert found["loss"] is None and found["stopped"] == "NaN."


def a_run(size, arm, rate, seed, watched=()):
    """A made-up run whose loss is lowest at the arm's first rate."""
    return {"rate": rate, "seed": seed, "trained": 9, "seconds": 1.0, "loss": 3 + abs(math.log2(rate / arm.first)) / 9}


def test_recording_goes_on_where_it_was_stopped(monkeypatch):
    made = []

    def one(size, arm, rate, seed, watched=()):
        if len(made) == 9:
            raise RuntimeError("stopped")
        made.append((rate, seed, watched))
        return a_run(size, arm, rate, seed)

    monkeypatch.setattr(recording, "one_run", one)
    monkeypatch.setattr(recording, "untouched", lambda size: {"loss": 5.0, "general": 40.0})
    with pytest.raises(RuntimeError, match="stopped"):
        recording.record(NOW)
    full = arms.ARMS["full"]
    assert [seed for _, seed, _ in made[:6]] == [0, 0, 0, 0, 1, 2], "three rates, then three seeds"
    assert made[3] == (full.first, 0, full.watched) and made[0][2] == ()
    first, made = made, []
    with pytest.raises(RuntimeError, match="stopped"):
        recording.record(NOW)
    assert not set(made) & {one for one in first if one[2]}
    kept = recordings.recorded("papers")["runs"]
    assert len(kept) == 19 + (recording.final("attention", 0) in kept), (
        "where nothing is watched, the search's run is seed 0's"
    )
    monkeypatch.setattr(kept_as, "ARMS", {**arms.ARMS, "full": full._replace(steps=25)})
    assert not any(run.get("arm") == "full" for run in recording.as_today(kept).values()), (
        "another arm's runs are not its own"
    )
