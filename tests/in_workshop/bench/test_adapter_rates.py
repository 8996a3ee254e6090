"""The rate of each adapter: chosen on examples that no score uses, all of them trained alike."""

import json

import pytest

from lora_lessons import evaluation, lora, tasks
from lora_lessons.experiments import recordings, shipped_adapters
from workshop.bench import adapter_rates


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
    found = adapter_rates.record({"persona": (1e-3, 5e-3)}, again=True)
    assert [row["rate"] for row in found["rows"]] == [1e-3, 5e-3]
    task = tasks.load_task("persona")
    assert len(seen[0]) == len(task.held_out) - shipped_adapters.DRAWN == found["rows"][0]["examples"]
    assert json.loads((tmp_path / f"{adapter_rates.NAME}.json").read_text())["steps"] == shipped_adapters.STEPS


def test_it_does_not_begin_by_accident(capsys):
    with pytest.raises(SystemExit):
        adapter_rates.main(["persona"])
    assert "say --record" in capsys.readouterr().err
