"""The growth bench: one thing grows at a time, both ways take the same step, and the tape counts both."""

import json

import pytest
import torch

from lora_lessons import memory
from lora_lessons.experiments import growth as bench

LLAMA = bench.LLAMA | {
    "hidden_size": 64,
    "intermediate_size": 96,
    "vocab_size": 256,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}


def small_llama():
    from transformers import AutoConfig

    return AutoConfig.for_model(**LLAMA, num_hidden_layers=2)


def test_one_thing_grows_at_a_time():
    settings = list(bench.settings(bench.GROWS))
    assert len(settings) == sum(map(len, bench.GROWS.values())) and {name for name, _ in settings} == set(bench.START)
    for name, setting in settings:
        assert {k: v for k, v in setting.items() if k != name} == {k: v for k, v in bench.START.items() if k != name}
    assert [s["r"] for name, s in settings if name == "r"] == [1, 4, 16, 64, 256]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_row_has_both_ways_and_the_ledger_is_right_about_the_plain_one(precision):
    row = bench.one(r=2, seq=48, blocks=2, repeats=1, precision=precision, llama=LLAMA)
    assert row["predicted"] == pytest.approx(row["bytes"][bench.PLAIN], rel=0.05)
    share = row["bytes"][bench.FAST] / row["bytes"][bench.PLAIN]
    assert 0.5 < share < 1.1 and share != 1 and min(row["seconds"].values()) > 0
    longer = bench.one(r=2, seq=96, blocks=2, repeats=1, precision=precision, llama=LLAMA)
    assert all(longer["bytes"][way] > 1.1 * row["bytes"][way] for way in row["bytes"])


def test_both_ways_take_one_step():
    """From one start, the loss after a step by either way is one number, and another than before."""
    from lora_lessons.fast import FastPath
    from lora_lessons.tasks import Encoded
    from lora_lessons.training.losses import plain

    ids, after = torch.randint(256, (24,), generator=torch.Generator().manual_seed(0)), {}
    text, shape = [Encoded(ids, ids.clone())], memory.shape_of(small_llama())
    for way, made in ((bench.PLAIN, plain), (bench.FAST, lambda model: FastPath(model).loss)):
        torch.manual_seed(0)
        job = memory.Job("lora", 4, seq=24, dtype="fp32", gradient_checkpointing=False, learning_rate=1e-2)
        model, optimizer = memory.build(shape, job, "cpu")
        before = plain(model)(text).item()
        assert bench.step(made(model), text, optimizer) > 0
        after[way] = plain(model)(text).item()
        assert after[way] < before - 1e-4
    assert after[bench.PLAIN] == pytest.approx(after[bench.FAST], abs=1e-5)


def test_it_prints_a_row_for_each_setting_and_keeps_the_recording(monkeypatch, tmp_path, capsys):
    row = {"seconds": {"plain": 0.2, "fast": 0.1}, "bytes": {"plain": 2e6, "fast": 1e6}, "predicted": 2.1e6}
    monkeypatch.setattr(bench, "one", lambda **_: row)
    bench.measure({"r": (1, 2), "blocks": (3,)}, out=tmp_path / "growth.json")
    kept = json.loads((tmp_path / "growth.json").read_text(encoding="utf-8"))
    assert kept["machine"] and [(r["grows"], r["r"], r["blocks"]) for r in kept["rows"]] == [
        ("r", 1, 4),
        ("r", 2, 4),
        ("blocks", 16, 3),
    ]
    shown = capsys.readouterr().out.splitlines()[-1].split()
    assert shown == ["blocks", "grows", "16", "256", "3", "200", "ms", "2.0", "2.1", "+5.0%", "100", "ms", "1.0"]
