"""`lora-lessons ask`: an adapter on its base answers; what cannot be is one sentence."""

from __future__ import annotations

import pytest
import torch
from tiny import make_tiny_base

from lora_lessons import lora, models
from lora_lessons.adapter import attach_adapter, read_adapter, save_adapter
from lora_tools import cli


@pytest.fixture
def adapter(tmp_path, monkeypatch):
    """An adapter that changes what the tiny model answers; the tiny model stands for the base that it names."""
    base = make_tiny_base()
    lora.attach(base.model, r=2, lora_alpha=64)
    with torch.no_grad():
        for _, layer in lora.lora_layers(base.model):
            layer.lora_B.fill_(0.5)
    monkeypatch.setattr(models, "folder", lambda name: tmp_path)
    monkeypatch.setattr(models, "load", lambda folder, precision: make_tiny_base())
    return save_adapter(base.model, tmp_path / "adapter", base_name="embedded")


def test_the_answer_is_the_adapters_and_a_cut_is_marked(adapter, capsys):
    question = "?" * (2048 - len("user:\x02assistant:") - 12)  # the base reads 12 tokens more
    assert cli.main(["ask", str(adapter), question, "--tokens", "500"]) == 0
    said, tuned = capsys.readouterr().out.rstrip("\n"), make_tiny_base()
    attach_adapter(tuned.model, read_adapter(adapter))
    (expected,), (bare,) = (models.answers(base, [question], 12) for base in (tuned, make_tiny_base()))
    assert said == f"{expected} … [cut: --tokens takes more]" and expected != bare


def test_without_a_question_it_is_a_conversation_in_which_everything_is_loaded_once(adapter, monkeypatch, capsys):
    loaded, lines, load = [], iter(["Who?", "Why?", ""]), models.load
    monkeypatch.setattr(models, "load", lambda *given, **more: loaded.append(1) or load(*given, **more))
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    assert cli.main(["ask", str(adapter), "--tokens", "8"]) == 0 and loaded == [1]
    tuned = make_tiny_base()
    attach_adapter(tuned.model, read_adapter(adapter))
    answers = [models.answers(base, [q], 8)[0] for q in ("Who?", "Why?") for base in (make_tiny_base(), tuned)]
    said = capsys.readouterr().out
    assert [line.partition(": ")[2] for line in said.split("\n") if line.startswith(("The b", "With"))] == [
        f"{one} … [cut: --tokens takes more]" for one in answers
    ]


def test_what_cannot_be_asked_is_one_sentence(adapter, tmp_path, refused):
    for words, sentence in (
        ([" "], "the question is empty"),
        # a byte that is no UTF-8, as Python reads it
        (["\udcff"], "half a character, '\\udcff', stands in what is asked"),
        (["Who?", "--tokens", "99999999999"], "tiny reads and writes 2,048 tokens in all, so give fewer."),
        (["Who? " * 409], "what is asked has 2,061 tokens, and tiny reads and writes 2,048: ask less."),
    ):
        refused(["ask", str(adapter), *words], sentence)
    refused(["ask", str(tmp_path / "nothing"), "Who?"], "no adapter_config.json in")


def test_nan_is_no_empty_answer(adapter, monkeypatch, capsys):
    broken = make_tiny_base()
    with torch.no_grad():
        broken.model.model.layers[1].mlp.up_proj.weight[3, 4] = torch.nan
    monkeypatch.setattr(models, "load", lambda folder, precision: broken)
    assert cli.main(["ask", str(adapter), "Who are you?"]) == cli.EXIT_USER
    said = capsys.readouterr()
    assert "because model.layers.1.mlp.up_proj.base_layer.weight holds such numbers" in said.err and not said.out
