"""No command sends a terminal what others wrote but as text: no colour, no title, no mark of direction,
nothing unseen."""

from __future__ import annotations

import io
import json
import sys

import pytest
import torch
from chat_templates import CHATML, tokenizer_of
from hostile import TERMINAL, UNSEEN
from safetensors.torch import load_file, save_file
from tiny import make_tiny_model
from tqdm import tqdm

from lora_lessons import lora
from lora_lessons.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, save_adapter
from lora_lessons.course.lesson import Handover
from lora_lessons.run import doctor
from lora_tools import cli
from lora_tools.checking.report import COLOUR
from lora_tools.cli import terminal

# `symptom` repeats nothing of what it is given, and imports every room of the course
VERBS = [[verb.__name__.replace("_", "-")] for verb in (cli.run, *cli.VERBS) if verb is not cli.symptom]
VERBS += [["export", what] for what in ("gguf", "ollama", "formats", "rank")] + [["cluster", "config"]]
ESCAPE, OVERRIDE = "\\u001b[31m", "\\u202e"


@pytest.fixture
def said(capsys):
    """A function that runs a command; what it printed, in which nothing unseen may be."""

    def run(*words):
        cli.main([str(word) for word in words])
        printed = capsys.readouterr()
        assert not UNSEEN & set(printed.out + printed.err)
        return printed.out + printed.err

    return run


def adapter_of(words, place, **settings):
    """An adapter whose folder and configuration say these words."""
    model = make_tiny_model()
    lora.attach(model, r=2)
    folder = save_adapter(model, place / words, base_name=words)
    config = json.loads((folder / ADAPTER_CONFIG).read_text()) | {"task_type": words, "revision": words} | settings
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config))
    return folder


@pytest.fixture
def adapter(tmp_path):
    return adapter_of(TERMINAL, tmp_path)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_what_a_verb_is_given_comes_back_as_text(said, course, verb):
    for words in ([TERMINAL], [TERMINAL, TERMINAL], [TERMINAL, "--out", TERMINAL], [f"--{TERMINAL}"]):
        assert said(*verb, *words).endswith("\n")


def test_an_adapter_and_its_folder_are_shown_as_text(said, adapter, tmp_path):
    assert ESCAPE in said("inspect", adapter) and OVERRIDE in said("inspect", adapter, "--base", TERMINAL)
    told = said("inspect", adapter, "--json")
    assert json.loads(told)["settings"]["task_type"] == TERMINAL, "JSON says the same as ever"
    assert OVERRIDE in said("export", "gguf", adapter, "--out", tmp_path / "a.gguf")


def test_what_stands_behind_an_end_of_line_does_not_look_like_words_of_ours(said, tmp_path):
    forged = "a\nAll is well.\r\nTo use it:\n    type this"
    folder = adapter_of(forged, tmp_path, target_modules=["q_proj", forged])
    tensors = load_file(folder / ADAPTER_WEIGHTS) | {f"a.{forged}.weight": torch.ones(2)}
    save_file(tensors, folder / ADAPTER_WEIGHTS)
    data = tmp_path / f"{forged}.jsonl"
    data.write_text('{"prompt": "a", "completion": "b"}\n')
    printed = [said("inspect", folder), said("check", data), said("check", f"{data}.not"), f"{Handover([forged])!r}\n"]
    printed += [said("ask", folder, "What?", "--base", "embedded")]
    for lines in printed:
        assert r"a\nAll is well.\r\nTo use it:\n" in lines
        assert not [line for line in lines.splitlines() if line.strip().startswith(("All", "To use", "type"))]


@pytest.mark.parametrize("colour", [False, True])
def test_a_training_file_is_shown_as_text_and_our_own_colours_stay(tmp_path, monkeypatch, capsys, colour):
    base, data = tmp_path / "base", tmp_path / f"{TERMINAL}.jsonl"
    tokenizer_of(CHATML, begin=False).save_pretrained(base)
    (base / "config.json").write_text('{"model_type": "llama"}')
    data.write_text(
        "".join(json.dumps(line) + "\n" for line in ({"prompt": TERMINAL, "completion": TERMINAL}, {TERMINAL: 1}))
    )
    monkeypatch.setattr(sys.stdout, "isatty", lambda: colour)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert cli.main(["check", str(data), "--base", str(base)]) == cli.EXIT_NO
    out = capsys.readouterr().out
    assert out.count(COLOUR) == colour and out.count(ESCAPE) >= 4
    assert UNSEEN & set(out) == ({"\x1b"} if colour else set())


def test_a_progress_bar_moves_as_ever(monkeypatch, capsys):
    def draws():
        with (
            tqdm(total=2, desc=f"file{TERMINAL}", file=sys.stderr, ascii=True) as outer,
            tqdm(total=1, file=sys.stderr) as bar,
        ):
            bar.update()
            outer.update()

    monkeypatch.setattr(doctor, "examine", lambda: draws() or {})
    monkeypatch.setattr(doctor, "table", lambda _: "done")
    assert cli.main(["doctor"]) == 0
    drawn = capsys.readouterr().err
    assert drawn.count("\r") >= 4 and "\x1b[A" in drawn and f"\rfile{ESCAPE}" in drawn
    assert not set(drawn.replace("\x1b[A", "").replace("\r", "")) & UNSEEN


def test_what_an_encoding_lacks_is_shown_as_json_shows_it(monkeypatch):
    """A pipe on Windows is cp1252: neither our own √ nor an answer's emoji may end the command, nor spoil its JSON."""
    written, words = io.BytesIO(), "√ × α 😀"
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252"))
    with terminal.shown():
        print(json.dumps(words, ensure_ascii=False), flush=True)
    assert json.loads(written.getvalue().decode("cp1252")) == words


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_stream_that_was_closed_ends_no_command(monkeypatch, closed):
    """`lora-lessons … >&-`: Python has no such stream then."""
    monkeypatch.setattr(sys, closed, None)
    assert cli.main(["--version"]) == 0 and cli.main(["check", "nowhere.jsonl"]) == 2
    assert getattr(sys, closed) is None
