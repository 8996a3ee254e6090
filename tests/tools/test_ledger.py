"""bench memory: a row a setting, each in its own process; what runs out of memory or fails is a row, too."""

import json

import pytest
import torch
from transformers import AutoConfig

from lora_lessons import memory
from lora_lessons.memory import Job
from lora_tools.bench import ledger


@pytest.fixture
def folder(tmp_path):
    """A folder that holds a small model's config.json."""
    where = tmp_path / "small"
    AutoConfig.for_model(
        "llama",
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=512,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    ).save_pretrained(where)
    return where


def test_each_setting_is_measured_in_a_process_of_its_own(folder, tmp_path, capsys):
    out = tmp_path / "ledger.json"
    job = Job("qlora", 4, ("q_proj", "v_proj"), seq=64, layer="peft")
    rows = ledger.measure_all(str(folder), out, (job,))
    said = json.loads(out.read_text(encoding="utf-8"))
    assert said["rows"] == json.loads(json.dumps(rows)) and said["weights"] == "random" and said["card"] is None
    assert said["machine"] and said["date"] and said["versions"]["torch"]
    (row,) = rows
    assert row["status"] == ledger.OK and abs(row["error"]) < 0.05
    lines = memory.reconcile(memory.Bill(**row["predicted_lines"]), memory.Bill(**row["measured_lines"]))
    assert lines[-1].measured == row["measured"] and row["predicted"] == sum(row["predicted_lines"].values())
    printed = capsys.readouterr().out
    assert "1 of 1 measured settings within 5%" in printed and "q_proj,v_proj" in printed
    assert f"{row['accelerate'] / 1e6:,.0f}" in printed


def test_a_setting_that_cannot_run_is_a_row_that_says_why(folder, tmp_path, capsys):
    (row,) = ledger.measure_all(str(folder), tmp_path / "ledger.json", (Job("lora", 10_000),))
    assert row["status"] == ledger.FAILED and "r = 10000 does not fit" in row["why"]
    assert "failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"),
    ],
)
def test_running_out_of_memory_leaves_the_prediction(folder, monkeypatch, capsys, error):
    build = memory.build

    def full(shape, job, device="meta", blocks=None):
        if device != "meta":
            raise error
        return build(shape, job, device, blocks)

    monkeypatch.setattr(memory, "build", full)
    ledger.main(str(folder), json.dumps({"method": "lora", "seq": 32}))
    (line,) = capsys.readouterr().out.splitlines()
    row = json.loads(line)
    assert row["status"] == ledger.OUT_OF_MEMORY and row["predicted"] > 0 and "measured" not in row
    assert ledger.OUT_OF_MEMORY in ledger.line(
        row | {"job": {"method": "lora", "target_modules": "all-linear"}, "accelerate": 1}
    )


def test_what_the_machine_cannot_hold_is_not_tried(folder, monkeypatch):
    monkeypatch.setattr(ledger, "memory_bytes", lambda: 1_000)
    monkeypatch.setattr(memory, "build", lambda *_: pytest.fail("it was built"))
    (row,) = ledger.run(str(folder), Job("lora", 2, seq=16))
    assert row["status"] == ledger.OUT_OF_MEMORY and row["predicted"] > 1_000


def test_a_line_names_the_recipe_and_not_what_follows_from_it():
    row = {"status": ledger.OK, "predicted": 1e9, "measured": 1e9, "error": 0.0, "accelerate": 1e9}
    said = ledger.line(row | {"job": Job("qlora", 16, recipe="hf").counted()})
    assert "ckpt on, hf recipe  " in said and "PEFT" not in said and "fused" not in said
    assert "PEFT" in ledger.line(row | {"job": Job("qlora", 16, layer="peft").counted()})
    assert "adamw_fused" in ledger.line(row | {"job": Job("full", optimizer="adamw_fused").counted()})
    assert "hf recipe, paged" in ledger.line(row | {"job": Job(recipe="hf", optimizer="paged_adamw_8bit").counted()})


def test_a_bug_is_not_taken_for_a_lack_of_memory(folder, monkeypatch):
    monkeypatch.setattr(memory, "measure", lambda *_: (_ for _ in ()).throw(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        ledger.main(str(folder), json.dumps({"method": "lora", "seq": 32}))


def test_what_accelerate_says():
    shape = memory.shape_of("Llama-2-7B")
    numbers = 6_738_415_616
    says = {
        job: ledger.accelerate_says(shape, job) for job in (Job("lora"), Job("qlora"), Job("full"), Job("full fp32"))
    }
    assert says[Job("lora")] == pytest.approx(2 * numbers, rel=1e-4)
    assert says[Job("qlora")] == pytest.approx(numbers / 2, rel=1e-4), (
        "embeddings and head in 4 bits, too: no library does that"
    )
    assert says[Job("full fp32")] == pytest.approx(16 * numbers, rel=1e-4)
    assert says[Job("full")] == pytest.approx(8 * numbers, rel=1e-4)
