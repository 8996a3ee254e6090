"""Formats through the command: rows measured on the same windows, an earlier export kept,
a failure a row of its own."""

import io
import json
import os
import shlex
from contextlib import redirect_stdout

import pytest
import torch
from schemas import faults
from torch import nn
from two_layers import two_layers

from lora_lessons import evaluation, lora, models, sums, tasks
from lora_lessons.adapter import save_adapter
from lora_lessons.errors import ModelError
from lora_lessons.machine import version
from lora_tools import cli
from lora_tools.exporting import formats
from lora_tools.exporting.formats import environments, table


def test_formats_by_name():
    assert formats.chosen(["gptq", "gguf", "gguf-f16", "gptq"]) == ["gptq", *formats.LLAMA_CPP]
    with pytest.raises(ValueError, match="'gtpq' is not known: choose from gguf, gguf-f16"):
        formats.chosen(["gtpq"])
    with pytest.raises(ValueError, match="no format is named"):
        formats.chosen([])


@pytest.fixture(scope="module")
def adapted(tokenizer, tmp_path_factory):
    """A tiny base that speaks the real tokenizer's ids, an adapter that matters, and the two merged in memory."""
    folder = tmp_path_factory.mktemp("adapted")
    model = two_layers(len(tokenizer))
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    lora.attach(model, r=4, lora_alpha=8)
    for _, layer in lora.lora_layers(model):
        nn.init.normal_(layer.lora_B, std=0.2)
    save_adapter(model, folder / "wick", base_name=str(folder / "base"))
    lora.merge(model)
    return folder, model.eval()


SHORT = "A short text to measure on: the lock keeper opened the upper gate, and the boat went up with the water. " * 8


@pytest.fixture(scope="module")
def short_text():
    """A general text of one window: what is computed is the same, sooner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "general_text", lambda: SHORT)
        yield


@pytest.fixture(scope="module")
def exported(adapted, short_text):
    """llama.cpp's formats and EXL2's row, through the command."""
    folder, _ = adapted
    out = folder / "out"
    words = ["export", "formats", str(folder / "wick"), "--out", str(out)]
    with redirect_stdout(io.StringIO()) as said:
        assert cli.main([*words, "--formats", "gguf-f16,gguf-q8_0,gguf-q4_k_m,exl2", "--json"]) == cli.EXIT_OK
    document = json.loads(said.getvalue())
    assert faults("export", document) == [] and str(out / table.TABLE) in [file["path"] for file in document["files"]]
    return out, {row["format"]: row for row in table.read(out / table.TABLE)}, words


def test_the_merged_folder_is_base_plus_update_in_16_bits(adapted, exported):
    _, merged = adapted
    written = models.load(exported[0] / "merged", "fp32", "cpu").model
    name = "model.layers.1.mlp.down_proj.weight"
    assert written.config.dtype == torch.float32 and torch.equal(
        written.state_dict()[name], merged.state_dict()[name].bfloat16().float()
    )


def test_llama_cpp_rows_are_measured_on_the_same_windows(adapted, exported, tokenizer):
    _, merged = adapted
    _, rows, _ = exported
    here = evaluation.perplexity(models.Base(merged, tokenizer, ""), SHORT)
    assert rows["gguf-f16"]["perplexity"] == pytest.approx(here, rel=2e-3)
    assert rows["gguf-q8_0"]["reference_perplexity"] == pytest.approx(rows["gguf-f16"]["perplexity"], rel=1e-5)
    assert rows["gguf-f16"]["bits_in_layers"] == 16 and rows["gguf-q8_0"]["bits_in_layers"] == 8.5  # 8 + 16 / 32
    assert 4.5 <= rows["gguf-q4_k_m"]["bits_in_layers"] < 6.5 and "Q" in rows["gguf-q4_k_m"]["notes"]
    assert rows["gguf-q8_0"]["mb"] == pytest.approx((exported[0] / "merged-q8_0.gguf").stat().st_size / 1e6, rel=1e-5)
    assert rows["gguf-q8_0"]["tokens_per_second"] > 0


def test_exl2_is_published_where_no_card_is_and_its_commands_survive_spaces(exported):
    if not torch.cuda.is_available():
        row = exported[1]["exl2"]
        assert row["status"] == "published" and row["perplexity"] is None and "convert_exl2" in row["notes"]
    last = shlex.split(formats.exl2_commands("my models/merged", "my models/exl2", 4.25)[-1])
    assert last[last.index("-i") + 1] == "my models/merged" and last[last.index("-b") + 1] == "4.25"


def test_an_earlier_export_is_kept_and_a_part_is_not_recorded(exported, course):
    out, _, words = exported
    before = (out / table.TABLE).read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        formats.export(words[2], out, ["exl2"])
    assert (out / table.TABLE).read_bytes() == before
    (course / "merged").mkdir()
    (course / "merged" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds notes.txt"):
        formats.export(words[2], course, ["exl2"], overwrite=True)
    with pytest.raises(ValueError, match="awq, gguf-q4_0, gptq, hqq is missing"):
        table.record(out)
    assert not table.recording().exists()


def test_the_json_says_how_it_was_made(exported):
    about = json.loads((exported[0] / "formats.json").read_text())
    assert about["machine"] and about["date"] and about["versions"]["torch"] == version("torch")
    assert about["adapter"] == "wick" and "hqq==0.2.8.post1" in about["environments"]["hqq"] and "Q4_1" in about["note"]
    assert str(exported[0]) not in json.dumps(about)


def test_a_tool_that_fails_is_a_row_and_the_others_go_on(adapted, short_text, monkeypatch, tmp_path, capsys):
    real = environments.work

    def work(name, job):
        if name == "gguf-q8_0":
            raise ModelError("the tool broke")
        return real(name, job)

    monkeypatch.setattr(environments, "work", work)
    out = tmp_path / "out"
    words = ["export", "formats", str(adapted[0] / "wick"), "--out", str(out), "--formats", "gguf-q8_0,gguf-f16"]
    assert cli.main([*words, "--record"]) == cli.EXIT_USER
    assert "gguf-q8_0 failed" in capsys.readouterr().err
    bad, good = table.read(out / table.TABLE)
    assert (bad["status"], bad["notes"], good["status"]) == ("failed", "the tool broke", "ok")


def test_a_complete_export_is_recorded_and_read_back(course, tmp_path):
    said = dict.fromkeys(table.SAID, 1.5) | {"status": "ok", "perplexity": 12.3456789, "notes": "a, b"}
    rows = [{"format": name} | said for name in table.MEASURED]
    table.write(rows, tmp_path / table.TABLE, {"date": "2026-01-01"})
    table.record(tmp_path)
    found = table.read(table.recording())
    assert [row["format"] for row in found] == list(table.MEASURED)
    assert found[0]["perplexity"] == 12.3457 and found[0]["quantize_seconds"] is None and found[0]["notes"] == "a, b"
    beside = json.loads(table.recording().with_suffix(".json").read_text())
    assert beside == {"date": "2026-01-01", "table_sha256": sums.sha256(table.recording())}


def test_bad_words_are_one_sentence(tmp_path, capsys):
    for more, sentence in (([], "adapter_config.json"), (["--formats", "gguff"], "choose from gguf")):
        assert cli.main(["export", "formats", str(tmp_path), "--out", str(tmp_path / "o"), *more]) == cli.EXIT_USER
        assert sentence in capsys.readouterr().err


def test_relative_paths_mean_what_they_mean_here(adapted, short_text, worker, monkeypatch, tmp_path):
    """The workers start in folders of their own."""
    worker(
        "assert os.path.isfile(job['target']) and os.path.isfile(job['source'])\n"
        "names = ('perplexity', 'reference_perplexity', 'tokens_per_second', 'reference_tokens_per_second')\n"
        "json.dump(dict.fromkeys(names, 2.0), open(job['answer'], 'w'))"
    )
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    adapter = os.path.relpath(adapted[0] / "wick")
    (row,) = formats.export(adapter, "out", ["gguf-f16"])
    assert row["status"] == "ok", row["notes"]
    assert [p.name for p in (tmp_path / "here").iterdir()] == ["out"]


def test_a_refused_export_leaves_nothing(adapted, tmp_path):
    (tmp_path / "short.txt").write_text("Short.")
    with pytest.raises(ValueError, match="give more text"):
        formats.export(adapted[0] / "wick", tmp_path / "out", ["gptq"], calibrate=[tmp_path / "short.txt"])
    assert [p.name for p in tmp_path.iterdir()] == ["short.txt"]
