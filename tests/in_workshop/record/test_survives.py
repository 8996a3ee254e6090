"""Does the adapter survive: the ways through 4 bits, the questions asked, the score, and the recorded table."""

import json

import pytest
import torch

from lora_lessons import evaluation, models, quant, tasks
from lora_lessons.adapter import read_adapter
from lora_lessons.experiments import recordings, shipped_adapters
from lora_tools.exporting.formats import environments
from workshop.record import survives


@pytest.fixture(scope="module")
def adapter():
    return read_adapter(shipped_adapters.shipped()[survives.ADAPTER])


def test_a_small_update_is_lost_on_a_rounded_base_and_kept_when_merged_first():
    generator = torch.Generator().manual_seed(0)
    W = torch.randn(64, 128, generator=generator).bfloat16().float()
    delta = 0.02 * torch.randn(64, 128, generator=generator)
    left = {}
    for way in ("into_nf4", "then_nf4", "merged", "nf4_apart"):
        start = W if way == "merged" else quant.dequantize(quant.quantize(W.bfloat16(), double=True)).float()
        moved = survives.weights(way, W, delta) - start
        left[way] = float((moved * delta).sum() / delta.square().sum())
    assert left["into_nf4"] < 0.1 and left["then_nf4"] == pytest.approx(1, abs=0.35)
    assert left["merged"] == pytest.approx(1, abs=0.1) and left["nf4_apart"] == pytest.approx(1, abs=1e-4)


def test_bits_count_the_adapter_where_it_stands_apart(base_fp32, adapter):
    bits = {
        way: survives.bits(way, adapter, base_fp32.model) for way in ("unmerged", "merged", "nf4_apart", "into_nf4")
    }
    beside = bits["unmerged"] - 16
    assert bits["merged"] == 16 and 0.2 < beside < 0.5
    assert bits["into_nf4"] == quant.bits_per_parameter(double=True)
    assert bits["nf4_apart"] == pytest.approx(bits["into_nf4"] + beside)


def test_rows_by_torch_begin_with_the_reference_and_leave_the_base_as_it_was(base_fp32, adapter):
    digest = models.weights_digest(base_fp32.model.requires_grad_(False))
    asked = survives.questions(base_fp32, 2)
    apart, lost = survives.in_torch(base_fp32, adapter, asked, ["unmerged", "into_nf4"])
    assert models.weights_digest(base_fp32.model) == digest
    assert apart["kl"] == 0 and lost["kl"] > 0.1 and apart["kept"] >= lost["kept"] and apart["of"] == 2
    assert apart["low"] <= apart["kept"] <= apart["high"]


def test_the_questions_are_the_scored_ones_and_the_score_is_the_rules(base_fp32):
    asked = survives.questions(base_fp32)
    assert asked.examples == evaluation.drawn(tasks.load_task(survives.ADAPTER), shipped_adapters.DRAWN)
    assert len(asked.encoded) == survives.COMPARED < len(asked.examples) == len(asked.prompts)
    gold = [example["messages"][-1]["content"] for example in asked.examples]
    assert survives.score(gold, asked)["kept"] == 1 and survives.score(["{}"] * len(gold), asked)["kept"] == 0


def test_a_tool_that_fails_leaves_a_row_that_says_why(base_fp32, tmp_path, monkeypatch):
    def fails(name, job):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(environments, "work", fails)
    monkeypatch.setattr(survives.rows, "write", lambda *_: {})
    row = survives.by_a_tool("gptq", {}, tmp_path, survives.questions(base_fp32, 1))
    assert row == {"failed": "RuntimeError: no such kernel"}


def test_what_is_recorded_is_a_table_of_every_way():
    found = survives.recorded()
    rows = {row["way"]: row for row in found["rows"]}
    assert list(rows) == list(survives.TITLES)
    assert {"date", "machine", "versions", "calibration"} < set(found)
    measured = {way: row for way, row in rows.items() if "failed" not in row}
    assert all(row["failed"] for way, row in rows.items() if way not in measured)
    assert {"unmerged", "base", "merged", "nf4_apart", "into_nf4", "then_nf4"} <= set(measured)
    assert measured["unmerged"]["kl"] == 0
    for row in measured.values():
        assert row["low"] <= row["kept"] <= row["high"] and row["of"] == shipped_adapters.DRAWN
        assert row["kl"] >= 0 and 4 < row["bits"] <= 17
    json.dumps(found)


def test_a_way_is_recorded_anew_and_the_others_stay(base_fp32, tmp_path, monkeypatch):
    before = survives.recorded()
    (tmp_path / f"{survives.NAME}.json").write_text(json.dumps(before))
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)
    monkeypatch.setattr(models, "load", lambda **_: base_fp32)
    monkeypatch.setattr(survives, "job_for", lambda *_: {})
    monkeypatch.setattr(survives, "by_a_tool", lambda *_: {"kept": 0.5})
    after = survives.record(["gptq"])
    assert [row for row in after["rows"] if row["way"] != "gptq"] == [r for r in before["rows"] if r["way"] != "gptq"]
    assert {"way": "gptq", "kept": 0.5} in after["rows"] and survives.recorded()["rows"] == after["rows"]
