"""Recordings are quoted as they were measured: damaged, or changed by hand, they are refused; and what they measured: a
base helped by a prompt, the control that was never rounded, the texts that rounding is calibrated on."""

import json

import gguf
import numpy as np
import pytest
import torch

from lora_lessons import models, quant, tasks
from lora_lessons.experiments import never_rounded, prompting, quantized_perplexity, recordings, shipped_adapters
from lora_lessons.paths import course_root, measurements
from lora_lessons.sums import sha256

RUN = {"rows": [{"task": "persona", "loss": 1.25, "note": "naïve"}], "steps": 24, "empty": {}}


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)
    recordings.keep("one", RUN)
    return tmp_path / "one.json"


def test_what_is_kept_is_read_back(file):
    found = recordings.recorded("one")
    assert RUN.items() <= found.items() and {"machine", "date", "versions"} < found.keys()
    recordings.write(file, found | {"steps": 25})
    assert recordings.recorded("one")["steps"] == 25, "recorded anew, it has a digest of its own"


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 25},
        {"steps": "24"},
        {"rows": None},
        {"rows": [{"task": "persona", "loss": 1.2}]},
        {"rows": {}},
        {"machine": "another"},
        {"more": 1},
        {recordings.DIGEST: "0" * 64},
        {recordings.DIGEST: 5},
    ],
)
def test_a_recording_that_was_changed_by_hand_is_refused(file, change):
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | change))
    with pytest.raises(ValueError, match="one.json .*restore it"):
        recordings.recorded("one")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"5", b"\xff\xfe{", b"[" * 100_000])
def test_a_damaged_recording_is_refused(file, data):
    file.write_bytes(data)
    with pytest.raises(ValueError, match="one.json is damaged .*restore it from git"):
        recordings.recorded("one")


def test_a_recording_that_is_missing_says_what_to_do(file):
    with pytest.raises(FileNotFoundError, match="no two.json .*record it anew"):
        recordings.recorded("two")


@pytest.mark.parametrize("file", sorted(measurements().glob("*.json")), ids=lambda file: file.stem)
def test_what_ships_is_as_it_was_recorded(file):
    found = json.loads(file.read_text(encoding="utf-8"))
    if (table := file.with_suffix(".csv")).exists():
        assert found["table_sha256"] == sha256(table), "it says where the table beside it comes from"
    else:
        assert found[recordings.DIGEST] == recordings.digest(recordings.read(file))


def test_the_record_of_the_shipped_adapters_is_as_it_was_made():
    found = json.loads((course_root() / "data" / "adapters" / shipped_adapters.MADE).read_text(encoding="utf-8"))
    assert found[recordings.DIGEST] == recordings.digest(found)


def test_a_recorded_table_says_where_it_is_from_and_is_refused_where_it_was_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)
    (tmp_path / "t.csv").write_text("r,loss\n8,3.1\n", encoding="utf-8")
    about = {"machine": "m", "date": "d", "table_sha256": recordings.sha256(tmp_path / "t.csv")}
    recordings.write(tmp_path / "t.json", about)
    table = recordings.table("t")
    assert table.query("r == 8").loss.tolist() == [3.1] and table.attrs == {"machine": "m", "date": "d"}
    recordings.write(tmp_path / "runs.json", {"runs": {"a": {"how": {"r": 8}}}})
    assert recordings.table("runs").to_dict("records") == [{"run": "a", "how.r": 8}]
    recordings.write(tmp_path / "listed.json", {"runs": [{"base": "fp4", "seed": 0}]})
    assert recordings.table("listed").to_dict("records") == [{"base": "fp4", "seed": 0}]
    (tmp_path / "t.csv").write_text("r,loss\n8,3.0\n", encoding="utf-8")
    with pytest.raises(ValueError, match="t.csv is not as it was recorded: restore it from git"):
        recordings.table("t")


def test_every_task_has_rules_and_every_way_gives_what_it_says(monkeypatch):
    given = []

    def answers(base, prompts, length, system, batch_size, before):
        given.append((system, before))
        return ["Keep the lamp lit."] * len(prompts)

    monkeypatch.setattr(models, "answers", answers)
    assert set(prompting.RULES) == set(shipped_adapters.ABOUT)
    assert [prompting.prompted(None, "persona", way, 4) for way in prompting.WAYS] == [0, 0]
    (rules, none), (again, turns) = given
    assert rules == again == prompting.RULES["persona"] and not none
    train = tasks.load_task("persona").train
    assert [t["role"] for t in turns] == ["user", "assistant"] * prompting.EXAMPLES
    assert turns[1]["content"] == train[0]["messages"][-1]["content"]
    with pytest.raises(ValueError, match="'louder': choose from rules"):
        prompting.prompted(None, "persona", "louder")


def test_right_answers_are_counted_as_right(monkeypatch):
    held_out = {
        e["messages"][-2]["content"]: e["messages"][-1]["content"] for e in tasks.load_task("strict_json").held_out
    }
    monkeypatch.setattr(models, "answers", lambda base, prompts, *_, **__: [held_out[p] for p in prompts])
    assert prompting.prompted(None, "strict_json", "rules", 5) == 1


def test_earlier_turns_reach_the_model(base_fp32):
    turns = [{"role": "user", "content": "Say yes."}, {"role": "assistant", "content": "yes yes yes"}]
    alone = models.answers(base_fp32, ["Say yes."], 8)
    assert models.answers(base_fp32, ["Say yes."], 8, before=turns * 3) != alone
    assert models.answers(base_fp32, ["Say yes."], 8, before=[]) == alone


@pytest.fixture(scope="module")
def encoder():
    return models.load_encoder()


@pytest.fixture(scope="module")
def kept(encoder):
    return never_rounded.weights(encoder)


@pytest.mark.parametrize("offset, name", [(False, "Q4_0"), (True, "Q4_1")])
def test_even_marks_in_blocks_of_32_are_llama_cpps(offset, name):
    W = torch.randn(96, 64, generator=torch.Generator().manual_seed(0))
    W[0, :32] = 0
    kind = gguf.GGMLQuantizationType[name]
    theirs = gguf.quants.dequantize(gguf.quants.quantize(W.numpy(), kind), kind)
    ours = never_rounded.even_marks(W, 32, offset).numpy()
    np.testing.assert_array_equal(ours, theirs)
    assert never_rounded.WAYS[name].bits == 8 * gguf.GGML_QUANT_SIZES[kind][1] / 32
    assert not np.array_equal(never_rounded.even_marks(W, 64, offset).numpy(), theirs)


def test_after_rounding_the_weights_are_what_they_were(encoder, kept):
    before = encoder.embed(["A lamp."])
    with (
        pytest.raises(KeyError, match="stopped"),
        never_rounded.rounded(encoder.model, kept, never_rounded.WAYS["int4"]),
    ):
        name, W = next(iter(kept.items()))
        assert not torch.equal(encoder.model.get_submodule(name).weight, W)
        raise KeyError("stopped")
    assert all(torch.equal(encoder.model.get_submodule(name).weight, W) for name, W in kept.items())
    assert torch.equal(encoder.embed(["A lamp."]), before)


def test_rounded_and_back_is_what_the_4_bit_layer_computes(kept):
    encoder, texts = models.load_encoder(), ["Two jars of honey for Monday, please.", "A lamp."]
    with never_rounded.rounded(encoder.model, kept, never_rounded.WAYS["NF4 + double"]):
        by_value = encoder.embed(texts)
    quant.quantize_linears(encoder.model, encoder.linears, "nf4", double=True)
    torch.testing.assert_close(encoder.embed(texts), by_value, atol=1e-5, rtol=1e-4)


class Words:
    """A tokenizer whose tokens are words."""

    def __init__(self):
        self.ids = {}

    def __call__(self, text, **_):
        return {"input_ids": torch.tensor([[self.ids.setdefault(word, len(self.ids)) for word in text.split()]])}


def test_the_calibration_text_is_no_part_of_the_text_measured_on():
    base = models.Base(None, Words(), "words")
    measured = base.tokenizer(tasks.general_text())["input_ids"][0].tolist()
    runs = {tuple(measured[i : i + 8]) for i in range(len(measured) - 7)}
    read = torch.cat(quantized_perplexity.calibration(base, 0, windows=200, length=64)).tolist()
    assert not any(tuple(window[i : i + 8]) in runs for window in read for i in range(57))


def test_calibration_is_drawn_by_its_seed():
    base = models.Base(None, Words(), "words")
    first, again, other = (quantized_perplexity.calibration(base, seed, windows=6, length=32) for seed in (0, 0, 1))
    assert [batch.shape for batch in first] == [(4, 32), (2, 32)]
    assert torch.equal(torch.cat(first), torch.cat(again)) and not torch.equal(torch.cat(first), torch.cat(other))
