"""The rate of each adapter: chosen on examples that no score uses, all of them trained alike."""

import json

from lora_lessons import evaluation, lora, tasks
from lora_lessons.experiments import recordings
from lora_lessons.experiments.shipped_adapters import DRAWN
from workshop.record import adapter_rates, shipped_adapters


def test_the_rate_in_use_is_one_of_those_tried_and_as_good_as_the_best():
    found = adapter_rates.losses(adapter_rates.recorded())
    assert "persona" in found and set(found) <= set(shipped_adapters.ABOUT) == set(adapter_rates.RATES)
    for name, losses in found.items():
        assert sorted(losses) == sorted(adapter_rates.RATES[name])
        assert losses[shipped_adapters.RATE[name]] <= min(losses.values()) + 0.02, name


def test_a_rate_is_judged_on_other_examples_than_the_score(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)
    monkeypatch.setattr(shipped_adapters, "learn", lambda base, name, seed, rate: lora.attach(base.model, r=1))
    monkeypatch.setattr(evaluation, "held_out_loss", lambda model, examples: seen.append(examples) or 1.0)
    monkeypatch.setitem(adapter_rates.RATES, "persona", (1e-3, 5e-3))
    found = adapter_rates.record(["persona"], again=True)
    assert [row["rate"] for row in found["rows"]] == [1e-3, 5e-3]
    task = tasks.load_task("persona")
    assert len(seen[0]) == len(task.held_out) - DRAWN == found["rows"][0]["examples"]
    assert json.loads((tmp_path / f"{adapter_rates.NAME}.json").read_text())["steps"] == shipped_adapters.STEPS
