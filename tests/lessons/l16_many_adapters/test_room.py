"""Lesson 16's room: a hundred different adapters, costs that add up, requests that are told apart."""

import re

import pytest
import torch

from lora_lessons import lora, many_adapters, mixing
from lora_lessons.adapter import adapter_of
from lora_lessons.lessons.l16_many_adapters import measured
from lora_lessons.lessons.l16_many_adapters.measured import Cost
from lora_lessons.paths import course_root


def trained(model, count=2):
    """Adapters of rank 4 that do something; the model stays bare."""
    made = []
    for seed in range(count):
        lora.attach(model, r=4, lora_alpha=8, seed=seed)
        for n, (_, layer) in enumerate(lora.lora_layers(model)):
            generator = torch.Generator().manual_seed(1000 * seed + n)
            layer.lora_B.data = torch.randn(layer.lora_B.shape, generator=generator)
        made.append(adapter_of(model, f"made{seed}"))
        lora.detach(model)
    return made


def test_a_hundred_are_a_hundred_different_ones(tiny_model):
    parents = trained(tiny_model)
    found = measured.hundred(parents, seed=1)
    assert len(found) == len({adapter.name for adapter in found}) == 100
    layer = next(iter(parents[0].A))
    updates = torch.stack(
        [adapter.scaling(layer) * adapter.B[layer].float() @ adapter.A[layer].float() for adapter in found]
    )
    apart = torch.cdist(updates.flatten(1), updates.flatten(1)) + torch.eye(100)
    assert (apart > 0.01 * updates.flatten(1).norm(dim=1).mean()).all()
    assert {(adapter.r, adapter.scaling(layer)) for adapter in found} == {(4, 2.0), (2, 4.0)}
    assert all(t.dtype == torch.float16 for adapter in found for t in (*adapter.A.values(), *adapter.B.values()))


def test_the_first_ones_are_those_that_were_trained_and_a_seed_repeats(tiny_model):
    parents = trained(tiny_model)
    one, again, other = (measured.hundred(parents, 8, seed) for seed in (1, 1, 2))
    for parent, adapter in zip(parents, one, strict=False):
        assert adapter.name == parent.name and all(torch.equal(adapter.A[n], parent.A[n].half()) for n in parent.A)
    last = [run[-1].A[next(iter(parents[0].A))] for run in (one, again, other)]
    assert torch.equal(last[0], last[1]) and not torch.equal(last[0], last[2])


def test_what_comes_before_the_first_token_counts_once_for_an_answer():
    assert Cost(2.0, 0.5).tokens_per_second(rows=4, tokens=8) == 4 * 8 / (2 + 8 * 0.5)
    assert Cost(2.0, 0.5).tokens_per_second(4, 80) > Cost(2.0, 0.5).tokens_per_second(4, 8)


def test_each_ways_fastest_round_is_compared():
    slow, fast, late = Cost(0.0, 4.0), Cost(1.0, 1.0), Cost(200.0, 0.5)
    assert measured.fastest([slow, fast, late]) == fast
    assert measured.times([slow, fast, late], [slow]) == pytest.approx(64 * 4 / (1 + 64))


def test_the_lesson_names_the_llama_cpp_that_is_installed():
    root = course_root()
    text = (root / "notebooks" / "16_many_adapters.ipynb").read_text(encoding="utf-8")
    pinned = (root / "constraints.txt").read_text(encoding="utf-8")
    (named,) = set(re.findall(r"`(xllamacpp==[\d.]+)`", text))
    assert named in pinned.split(), "run section 6 with the new version before its name is changed"


def test_every_way_is_measured_for_every_number_of_adapters(tiny_model):
    adapters = trained(tiny_model, 4)
    many = mixing.shared_copy(tiny_model)
    many_adapters.attach(many, adapters)
    asked = []

    def theirs(input_ids, adapter_names, use_cache):
        asked.append((adapter_names, input_ids.tolist()))

    found = measured.compare(tiny_model, many, theirs, adapters, [1, 4], rounds=2)
    assert list(found) == [measured.GATHERED, measured.PEFT, measured.SWAPPED, measured.COPIES]
    for costs in found.values():
        assert list(costs) == [1, 4] and all(len(rounds) == 2 for rounds in costs.values()), "every round is kept"
        assert all(cost.step > 0 for rounds in costs.values() for cost in rounds)
    assert [len(set(names)) for names, _ in asked] == [1, 4] * 2 and asked[0] == asked[2]
    assert len(asked[0][0]) == len(asked[0][1]) == measured.ROWS
    assert found[measured.GATHERED][4][0].before > 0 == found[measured.COPIES][4][0].before
    assert not list(lora.lora_layers(tiny_model)), "the base is bare again"


def test_a_swapped_group_goes_through_its_adapter_and_a_gathered_row_through_its_own(tiny_model, monkeypatch):
    adapters = trained(tiny_model)
    many = mixing.shared_copy(tiny_model)
    many_adapters.attach(many, adapters)
    ids, wanted, seen = torch.arange(3, 7)[:, None], ["made0", "made1", "made0", None], []

    def watched(model, rows):
        with torch.no_grad():
            seen.append((rows.flatten().tolist(), model(rows).logits[:, -1]))

    monkeypatch.setattr(measured, "one_step", watched)
    measured.swapping(tiny_model, {adapter.name: adapter for adapter in adapters}, wanted, ids)
    measured.gathering(many, wanted, ids)
    *groups, (_, gathered) = seen
    assert [rows for rows, _ in groups] == [[3, 5], [4], [6]]
    swapped = torch.empty_like(gathered)
    for rows, logits in groups:
        swapped[[row - 3 for row in rows]] = logits
    torch.testing.assert_close(gathered, swapped, rtol=1e-2, atol=1e-2)  # one side is in 16 bits


class Pretended:
    """A server that counts a pass for each token of each request, and remembers what it was asked."""

    names = ("one", "two")

    def __init__(self):
        self.asked, self.run = [], 7

    def ask(self, path, body):
        self.asked.append(body)
        self.run += body["n_predict"]
        return {"timings": {"prompt_ms": 0.25, "predicted_ms": 0.5}}

    def passes(self):
        return self.run


def test_requests_sent_at_once_name_their_own_adapters():
    server = Pretended()
    found = measured.at_once(server, [5, 6], [{"one": 1.0}, {"two": 0.5}, {}], tokens=8)
    scales = sorted(tuple(entry["scale"] for entry in body["lora"]) for body in server.asked)
    assert scales == [(0.0, 0.0), (0.0, 0.5), (1.0, 0.0)]
    assert found.passes == found.tokens == 24 and found.shared == 1.0
    assert [one.scales for one in found.answered] == [{"one": 1.0}, {"two": 0.5}, {}]
    assert all(one.end - one.start == pytest.approx(0.00075) for one in found.answered)
