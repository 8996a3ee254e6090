"""What is measured of a rung is what it did, also in 16 bits;
the lesson itself records that all have one loss and gradient."""

import subprocess
import sys

import pytest
import torch
from tiny_folders import make_folder

from lora_lessons import models
from lora_lessons.lessons.l12_faster import measured, rungs
from lora_lessons.tasks import IGNORED, Encoded


def tiny(folder, precision="fp32"):
    model = models.load(folder, precision, device="cpu").model
    measured.adapt(model)
    return model


@pytest.fixture
def folder(tmp_path, base_fp32):
    made = make_folder(tmp_path / "tiny")
    base_fp32.tokenizer.save_pretrained(made)
    return made


@pytest.fixture
def batch():
    """Three conversations of unequal length that begin alike; what is taught comes after."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for prompt, answer in ((9, 5), (14, 3), (11, 8)):
        ids = torch.cat([torch.arange(5, 11), torch.randint(20, 100, (prompt - 6 + answer,), generator=generator)])
        labels = ids.clone()
        labels[:prompt] = IGNORED
        made.append(Encoded(ids, labels))
    return made


def test_in_16_bits_too_to_their_rounding(folder, batch):
    model = tiny(folder, "bf16")
    assert model.dtype == torch.bfloat16
    losses = [make(model)(batch).item() for make in rungs.LADDER.values()]
    assert losses == pytest.approx([losses[0]] * len(losses), rel=0.01)


def test_pefts_twin_trains_the_courses_own_matrices_and_leaves_the_model_alone(folder, batch):
    model = tiny(folder)
    mine = dict(model.named_parameters())
    wrapped = rungs.with_peft(model)
    assert {id(p) for p in wrapped.parameters()} == {id(p) for p in mine.values()}
    assert dict(model.named_parameters()).keys() == mine.keys()
    trained = {id(p) for p in wrapped.parameters() if p.requires_grad}
    assert trained == {id(p) for name, p in mine.items() if ".lora_" in name}


def test_a_learners_loss_is_what_the_second_rung_computes(folder, batch):
    model = tiny(folder)
    make = rungs.where_taught(lambda h, E, labels: 2 * rungs.taught_loss(h, E, labels))
    assert make(model)(batch).item() == pytest.approx(2 * rungs.plain(model)(batch).item(), rel=1e-4)


def test_a_step_that_is_not_the_same_is_said_so(folder, batch, capsys):
    model = tiny(folder)
    ladder = measured.Ladder(model, model, batch)
    ladder.rung("plain", rungs.plain)
    ladder.rung("twice", lambda model: lambda batch: 2 * rungs.plain(model)(batch))
    ladder.rung("again", rungs.plain)
    plain, twice, again = capsys.readouterr().out.splitlines()
    assert "plain" in plain and "same" not in plain
    assert "NOT THE SAME: 100.0% apart" in twice and not ladder.rungs["twice"].same
    assert "the same loss and gradients" in again and ladder.rungs["again"].same


def test_timed_in_turn_each_rung_keeps_its_fastest_pass(folder, batch, monkeypatch):
    model = tiny(folder)
    ladder = measured.Ladder(model, model, batch)
    taken = iter([5.0, 5.0, 6.0, 7.0, 3.0, 8.0, 9.0, 2.0])
    monkeypatch.setattr(measured, "seconds", lambda *_: next(taken))
    ladder.rung("one", rungs.plain)
    ladder.rung("other", rungs.plain)
    ladder.in_turn(rounds=2)
    assert [rung.seconds for rung in ladder.rungs.values()] == [3.0, 2.0]


def test_steps_that_train_other_matrices_are_infinitely_apart():
    one, other = (measured.Outcome(1.0, {name: torch.ones(2)}, 0) for name in ("a", "b"))
    assert measured.apart(one, other) == float("inf")


@pytest.mark.parametrize(
    "operation, kind",
    [
        ("aten::addmm", rungs.PRODUCTS),
        ("aten::_scaled_dot_product_flash_attention_for_cpu_backward", rungs.ATTENTION),
        ("aten::mul", rungs.MOVING),
        ("aten::copy_", rungs.MOVING),
        ("aten::transpose", rungs.REST),
        ("aten::matmul", rungs.REST),
        ("MmBackward0", rungs.REST),
        ("autograd::engine::evaluate_function: MulBackward0", rungs.REST),
    ],
)
def test_an_operation_is_what_it_does(operation, kind):
    assert rungs.kind(operation) == kind


def test_a_step_of_products_is_products():
    W = torch.randn(700, 700, requires_grad=True)
    found = rungs.where_time_goes(lambda: (W @ W @ W).sum(), seconds=2.0)
    assert sum(found.values()) == pytest.approx(2.0), "the profiler's own time is no part of it"
    assert list(found) == list(rungs.KINDS) and all(seconds >= 0 for seconds in found.values())
    assert found[rungs.PRODUCTS] > found[rungs.ATTENTION] == 0


def test_the_profiler_says_nothing_of_itself():
    """In a process of its own, as in a lesson: where it was started before, it listens to no setting any more."""
    code = """
import torch
from lora_lessons.lessons.l12_faster import rungs
W = torch.randn(50, 50, requires_grad=True)
rungs.where_time_goes(lambda: (W @ W).sum())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "" and "profiler" not in done.stderr


def test_parts_add_up_to_the_fastest_pass(folder, batch):
    model = tiny(folder)
    ladder = measured.Ladder(model, model, batch)
    ladder.rung("one", rungs.plain)
    ladder.rung("other", rungs.prompt_once)
    parts = ladder.parts()
    for name, rung in ladder.rungs.items():
        assert list(parts[name]) == list(rungs.KINDS) and sum(parts[name].values()) == pytest.approx(rung.seconds)
    assert all(p.grad is None for p in model.parameters())
