"""The comparison on a card, tried on a processor: the same steps and data for every side, and a clock that is kept."""

import json
import sys
from types import ModuleType

import pytest
import torch
from tiny_configs import SMALL_7B

from lora_lessons import models, tasks
from lora_lessons.errors import ModelError
from workshop.bench import card_speed as bench

FOUND = {bench.TRAINER: (100.0, 10 * 2**30), bench.FAST: (150.0, 7 * 2**30), bench.PLAIN: (90.0, 9 * 2**30)}


@pytest.fixture
def ran(monkeypatch):
    """The sides that would have run, in processes that are stand-ins."""
    sides = []

    def run(module, task, wanted, folder, environment, seconds):
        sides.append((wanted["side"], seconds))
        if wanted["side"] == bench.UNSLOTH:
            raise ModelError("it cannot.")
        speed, peak = FOUND[wanted["side"]]
        row = {"tokens_per_second": speed, "peak_bytes": peak, "plain_because": ""}
        (folder / "found.json").write_text(json.dumps(row), encoding="utf-8")

    monkeypatch.setattr(bench, "run_in_process", run)
    return sides


def test_every_side_has_a_row_and_stands_beside_the_first(ran, monkeypatch, capsys):
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: object())
    rows = bench.compare(100)
    assert [side for side, _ in ran] == [row["side"] for row in rows] == list(bench.SIDES)
    assert all(0 < seconds <= 100 for _, seconds in ran)
    assert next(row for row in rows if row["side"] == bench.UNSLOTH)["failed"] == "it cannot."
    said = capsys.readouterr().out
    assert "1.50 times the tokens, at 0.70 times" in said and "failed: it cannot." in said


def test_unsloth_is_left_out_where_it_is_not_installed(ran, monkeypatch):
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: None)
    rows = {row["side"]: row for row in bench.compare(100)}
    assert rows[bench.UNSLOTH] == {"side": bench.UNSLOTH, "skipped": "it is not installed"} and len(ran) == 3


def test_a_side_for_which_no_time_is_left_is_skipped_and_that_is_said(ran, monkeypatch, capsys):
    now = iter(range(0, 10_000, 40))  # each look at the clock is 40 seconds after the one before
    monkeypatch.setattr(bench.time, "perf_counter", lambda: next(now))
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: object())
    rows = bench.compare(100)
    assert [side for side, _ in ran] == [bench.TRAINER]
    assert [row["side"] for row in rows if "skipped" in row] == list(bench.SIDES[1:])
    assert "skipped: 0 s are left" in capsys.readouterr().out


def test_no_time_at_all_begins_nothing(ran):
    assert all("skipped" in row for row in bench.compare(-1)) and ran == []


def test_the_conversations_are_as_long_as_real_ones_and_begin_alike():
    examples = bench.conversations(512)
    assert len(examples) == len(tasks.load_task("persona").train)
    first, second = examples[:2]
    assert torch.equal(first.input_ids[:8], second.input_ids[:8]) and not torch.equal(first.input_ids, second.input_ids)
    for one in examples:
        taught = one.labels != tasks.IGNORED
        assert 0 < taught.sum() < len(taught) and torch.equal(one.labels[taught], one.input_ids[taught])
        assert not taught[:8].any() and taught[-1] and 0 <= int(one.input_ids.min()) <= int(one.input_ids.max()) < 512


def test_a_saved_base_is_read_back_by_transformers_as_it_was(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # in 16 bits, as on a card: where 32 are faster, the embedding keeps its 16,
    # and transformers' own model does not widen them
    base = models.random_base(bench.STAND_IN, device="cpu", compute_dtype=torch.bfloat16, **SMALL_7B)
    bench.save_base(base, tmp_path / "base")
    again = models.keep_trainable(AutoModelForCausalLM.from_pretrained(tmp_path / "base"))
    ids = torch.arange(40)[None]
    first, second = (model(input_ids=ids).logits.float() for model in (base, again))
    assert first.std() > 0.1 and torch.allclose(first, second, atol=0.02 * float(first.abs().max()))
    assert again.is_loaded_in_4bit and AutoTokenizer.from_pretrained(tmp_path / "base").eos_token == "<eos>"


@pytest.fixture
def unsloth(monkeypatch):
    """A stand-in for Unsloth: it reads the folder that it is given by transformers, and wraps what it read by PEFT."""

    class FastLanguageModel:
        @staticmethod
        def from_pretrained(folder, max_seq_length, load_in_4bit):
            from transformers import AutoModelForCausalLM, AutoTokenizer

            model = AutoModelForCausalLM.from_pretrained(folder)
            assert load_in_4bit and max_seq_length >= max(len(one.input_ids) for one in bench.conversations(512))
            return model, AutoTokenizer.from_pretrained(folder)

        @staticmethod
        def get_peft_model(model, r, lora_alpha, target_modules, use_gradient_checkpointing):
            import peft

            config = peft.LoraConfig(r=r, lora_alpha=lora_alpha, target_modules=target_modules, task_type="CAUSAL_LM")
            return peft.get_peft_model(peft.prepare_model_for_kbit_training(model), config)

    module = ModuleType("unsloth")
    module.FastLanguageModel = FastLanguageModel
    monkeypatch.setitem(sys.modules, "unsloth", module)


def test_every_side_takes_the_same_steps_on_the_same_data_to_the_same_loss(unsloth, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "STEPS", 3)
    monkeypatch.setattr(bench, "WARM_UP", 1)
    found = {}
    for side in bench.SIDES:
        folder = tmp_path / side.replace(" ", "_")
        folder.mkdir()
        bench.one_side({"side": side, "device": "cpu", "changed": SMALL_7B}, folder)
        found[side] = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    assert len({one["tokens"] for one in found.values()}) == 1
    assert all(one["tokens_per_second"] == one["tokens"] / one["seconds"] > 0 for one in found.values())
    losses = [one["loss"] for one in found.values()]
    assert max(losses) - min(losses) < 0.01 and losses[0] > 5
    assert not found[bench.FAST]["plain_because"] and not found[bench.PLAIN]["plain_because"]
