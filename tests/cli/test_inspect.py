"""`lora-lessons inspect`: findings first, JSON for programs, a page that is whole or not there,
one sentence for what cannot be read."""

from __future__ import annotations

import json
import re

import pytest
from tiny import make_tiny_model

from lora_lessons import lora
from lora_lessons.adapter import save_adapter
from lora_tools import cli


@pytest.fixture
def adapter(tmp_path):
    """An adapter of the tiny model, as it is before training: no B has moved."""
    model = make_tiny_model()
    lora.attach(model, r=4, lora_alpha=8)
    return save_adapter(model, tmp_path / "adapter", base_name="tiny")


def test_what_stands_out_comes_first_and_the_status_is_1(adapter, capsys):
    assert cli.main(["inspect", str(adapter)]) == cli.EXIT_NO
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("✗ B is zero in all 14 matrices") and "lesson 12" in second
    assert any(line.startswith("r = 4, lora_alpha = 8: scale 2") for line in rest)
    assert any(re.match(r"vLLM +yes: with --enable-lora", line) for line in rest)


def test_the_adapter_that_it_went_on_from_is_named_with_before(adapter, tmp_path, capsys):
    first = tmp_path / "first"
    adapter.rename(first)
    assert cli.main(["inspect", str(first), "--before", str(first)]) == cli.EXIT_NO
    assert "✗ Every number is that of first, to the bit" in " ".join(capsys.readouterr().out.split())


def test_json_has_the_keys_that_its_docstring_promises(adapter, capsys):
    assert cli.main(["inspect", str(adapter), "--json"]) == cli.EXIT_NO
    said = json.loads(capsys.readouterr().out)
    assert [*said] == [
        *("adapter", "place", "settings", "scales", "size", "features", "matrices", "findings", "runtimes", "base")
    ]
    assert said["findings"][0]["code"] == "b_never_moved" and said["findings"][0]["severity"] == "wrong"
    assert {"module", "r", "d", "k", "scale", "norm", "effective_rank", "ratio"} <= said["matrices"][0].keys()
    assert said["base"] is None and {one["name"] for one in said["runtimes"]} >= {"PEFT", "llama.cpp", "vLLM"}


def test_a_page_is_whole_and_no_file_is_replaced_unasked(adapter, tmp_path, capsys, refused):
    page = tmp_path / "page.html"
    assert cli.main(["inspect", str(adapter), "--html", str(page)]) == cli.EXIT_NO
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and text.endswith("</html>\n") and "data:image/png;base64" in text
    assert not re.search(r"(src|href)=\"?http", text) and text.count("<tr>") == 15
    page.write_text("mine")
    capsys.readouterr()
    words = ["inspect", str(adapter), "--html", str(page)]
    refused(words, "exists: choose another file, or add --overwrite to replace it.")
    refused([*words, "--overwrite"], "is no page: choose")
    assert page.read_text() == "mine"
    page.write_text(text.replace("tiny", "older"))
    assert cli.main(["inspect", str(adapter), "--html", str(page), "--overwrite"]) == cli.EXIT_NO
    assert page.read_text(encoding="utf-8") == text


def test_what_a_file_says_is_shown_as_text_in_the_page(adapter, tmp_path):
    config = adapter / "adapter_config.json"
    config.write_text(config.read_text().replace('"tiny"', '"<script>alert(1)</script>"'))
    assert cli.main(["inspect", str(adapter), "--html", str(tmp_path / "page.html")]) == cli.EXIT_NO
    assert "<script>" not in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["inspect", "no/such/folder"], "no adapter_config.json in no/such/folder"),
        (["inspect", "README.md"], "README.md is a file: give the folder that holds it."),
        (["inspect", "{}", "--forgetting"], "--forgetting needs the base: name it with --base."),
        (["inspect", "{}", "--base", "no/such/base/here"], "does not exist: give a folder"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_and_status_2(adapter, refused, words, sentence):
    refused([word.format(adapter) for word in words], sentence)
