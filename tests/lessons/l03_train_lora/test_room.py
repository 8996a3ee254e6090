"""What lesson 03 measures with, hands to the Trainer, and draws; and what its side trip compares."""

from types import SimpleNamespace

import pytest
import torch

from lora_lessons import lowrank, tasks, training
from lora_lessons.experiments import training_speed
from lora_lessons.lessons.l03_train_lora import measured, pictures


def test_a_measurement_judges_each_answer_by_its_own_question(monkeypatch):
    task = tasks.load_task("persona")
    gold = {e["messages"][-2]["content"]: e["messages"][-1]["content"] for e in task.held_out}
    asked = []

    def answers(base, prompts, *_, **__):
        asked.extend(prompts)
        return [gold.get(p, "A plain answer." if "magnet" in p else "A tide. Keep the lamp lit.") for p in prompts]

    monkeypatch.setattr(measured.models, "answers", answers)
    monkeypatch.setattr(measured.evaluation, "held_out_loss", lambda *_, **__: 3.0)
    monkeypatch.setattr(measured.evaluation, "perplexity", lambda base, text: float(len(text)))
    question = task.held_out[0]["messages"][0]["content"]
    seen = measured.measure(type("Base", (), {"model": None}), task, [], question)
    assert asked[0] == question and seen.answer == gold[question] and len(asked) == 17
    assert seen.score == (3.0, 1.0, 1500.0, 7 / 8)  # one everyday answer of eight stays plain
    assert seen.everyday["How does a magnet work?"] == "A plain answer."


def test_the_trainer_gets_our_order_and_our_rates(tiny_model):
    how = training.Settings(steps=3, batch_size=2, seed=5)
    order = [i for batch in training.batches(7, how) for i in batch]
    assert training_speed.in_our_order(list("abcdefg"), how) == ["abcdefg"[i] for i in order]
    optimizer, schedule = training_speed.our_rates(tiny_model, how)
    rates = []
    for _ in range(3):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([how.rate(step) for step in range(3)])


def test_overlap_is_one_for_the_same_directions_and_zero_for_others():
    matrix = torch.diag(torch.arange(20.0, 0, -1))
    same, other = measured.cut({"w": matrix}), measured.cut({"w": matrix.flip(0).flip(1)})
    assert measured.overlap(same, same, "written") == pytest.approx([1.0] * 8)
    assert measured.overlap(same, other, "read") == pytest.approx([0.0] * 8, abs=1e-6)
    turned = measured.cut({"w": matrix.flip(0)})  # writes elsewhere, reads the same
    assert measured.overlap(same, turned, "read")[0] == pytest.approx(1.0)
    assert measured.overlap(same, turned, "written")[0] == pytest.approx(0.0, abs=1e-6)
    assert isinstance(same["w"], lowrank.SVD)


def test_the_two_ways_are_drawn_to_scale():
    figure, words = pictures.two_ways(60, 40, 5)
    sizes = [(patch.get_width(), patch.get_height()) for patch in figure.axes[0].patches]
    assert sizes == [(40, 60), (40, 60), (5, 60), (40, 5)]
    assert "2,400 numbers" in words and "500 numbers (20.8%)" in words


def test_a_change_is_put_on_measured_and_taken_off(tiny_model, monkeypatch):
    tiny_base = SimpleNamespace(model=tiny_model)
    before = {name: p.clone() for name, p in tiny_base.model.named_parameters()}
    name = "model.layers.0.self_attn.q_proj"
    seen = []
    monkeypatch.setattr(
        measured.evaluation,
        "held_out_loss",
        lambda model, *_, **__: seen.append(model.get_submodule(name).weight.clone()) or 3.0,
    )
    change = {name: torch.full_like(before[f"{name}.weight"], 0.5)}
    assert measured.loss_with(tiny_base, change, []) == 3.0
    assert torch.equal(seen[0], before[f"{name}.weight"] + 0.5)
    assert all(torch.equal(p, before[n]) for n, p in tiny_base.model.named_parameters())
    assert measured.losses_of_cut_weights(tiny_base, (1, 8), []) == {1: 3.0, 8: 3.0}
    assert [int(torch.linalg.matrix_rank(one)) for one in seen[1:]] == [1, 8]


@pytest.fixture
def kept(monkeypatch):
    """What is recorded and shown, by name."""
    kept = {}
    monkeypatch.setattr(measured, "record", lambda name, value, *_, **__: kept.update({name: value}))
    monkeypatch.setattr(measured, "show", lambda figure, _, numbers: kept.update(words=numbers, figure=figure))
    return kept


BASE = SimpleNamespace(score=SimpleNamespace(loss=5.0))


def test_what_a_cut_leaves_is_a_share_of_what_was_learned(kept):
    by_rank = {1: 3.5, 8: 3.2, 64: 3.0}
    cut = {r: (0.5, loss) for r, loss in by_rank.items()}
    curves = {name: [1.0] * 8 for name in ("LoRA's", "full fine-tuning's", "noise")}
    assert measured.record_hinge(cut, 3.0, by_rank, by_rank, BASE, curves) == pytest.approx(90.0)
    assert kept["change.left_1"] == pytest.approx(75.0) and kept["change.left_64"] == pytest.approx(100.0)
    assert "rank 8: 3.20 cut, 3.20 trained" in kept["words"]


def test_a_part_of_a_change_is_recorded_by_its_energy_and_by_what_it_does(kept):
    measured.record_pieces({"others": (0.6, 4.0), "smaller": (0.4, 3.2)}, 3.0, BASE)
    assert kept == {
        "piece.others_energy": 0.6,
        "piece.others_learned": pytest.approx(0.5),
        "piece.smaller_energy": 0.4,
        "piece.smaller_learned": pytest.approx(0.9),
    }
