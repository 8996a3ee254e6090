"""`lora-lessons check`: what it prints, what it writes, and its exit status."""

from __future__ import annotations

import html
import json

import pytest
from chat_templates import CHATML, tokenizer_of

from lora_tools import cli

GOOD = '{"prompt": "Which leaf makes tea?", "completion": "Camellia sinensis."}\n'


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text(GOOD)
    return path


@pytest.fixture
def base(tmp_path):
    """A folder with a tokenizer and a config, and no weights: none are needed."""
    tokenizer_of(CHATML, begin=False).save_pretrained(tmp_path / "base")
    (tmp_path / "base" / "config.json").write_text('{"model_type": "llama", "max_position_embeddings": 90}')
    return tmp_path / "base"


def test_a_bad_line_is_said_and_the_status_is_one(data, capsys):
    data.write_text(f"{GOOD}{{}}\n{GOOD}{{}}\n")
    assert cli.main(["check", str(data)]) == 1
    said = capsys.readouterr().out
    assert "2 of 4 lines can be used" in said
    assert "Wrong: these lines are not used\n  unknown_layout (2 lines: 2, 4)\n    In line 2, its fields are []" in said


def test_texts_on_which_other_trainers_train_are_not_used_and_not_called_wrong(data, tmp_path, capsys):
    data.write_text('{"text": "<|im_start|>user\\nWhy?<|im_end|>"}\n{"text": "The archive keeps maps."}\n{}\n')
    page = tmp_path / "page.html"
    assert cli.main(["check", str(data), "--html", str(page)]) == 1
    said = capsys.readouterr().out
    assert said.startswith("mine.jsonl: 0 of 3 lines can be used. This course leaves out 2 that other trainers take")
    for written in (said, page.read_text(encoding="utf-8")):
        wrong, texts = written.index("Wrong: these lines are not used"), written.index("Not used in this course")
        assert wrong < written.index("unknown_layout") < texts < written.index("plain_text")
        assert texts < written.index("rendered_text")


def test_with_a_base_tokens_are_counted_and_a_line_is_shown_as_the_model_sees_it(data, base, capsys):
    assert cli.main(["check", str(data), "--base", str(base)]) == 0
    said = capsys.readouterr().out
    assert "(90 fit)" in said and said.endswith("<|im_start|>assistant\n⟦Camellia sinensis.<|im_end|></s>⟧\n")
    assert cli.main(["check", str(data), "--base", str(base), "--max-tokens", "50"]) == 1
    assert "too_long (line 1)" in capsys.readouterr().out


def test_json_and_html_say_the_same(data, tmp_path, capsys):
    data.write_text(f"{GOOD}{{}}\n")
    page = tmp_path / "page.html"
    assert cli.main(["check", str(data), "--json", "--html", str(page), "--held-out", str(data)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["lines"], found["good"], found["tokens"]) == (2, 1, None)
    assert [problem["code"] for problem in found["problems"]][:3] == ["unknown_layout", "held_out_line", "leak"]
    written = page.read_text(encoding="utf-8")
    assert all(f"<code>{problem['code']}</code>" in written for problem in found["problems"])


def test_what_concerns_other_trainers_stands_apart_in_whole_sentences(data, base, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert cli.main(["check", str(data), "--base", str(base), "--html", str(page)]) == 0
    for said in (capsys.readouterr().out, html.unescape(page.read_text(encoding="utf-8"))):
        apart = said.index("For other trainers, such as TRL's")
        assert said.index("too_few") < apart < said.index("The template has no {% generation %} marks: with")


def test_a_base_that_is_unknown_or_on_a_hub_that_does_not_answer_is_one_sentence(data, monkeypatch, capfd):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: pytest.fail("it asked again"))
    for base, status, sentence in (
        ("nobody/nothing", cli.EXIT_FAILED, "which does not answer"),
        ("nonsense", cli.EXIT_USER, "no base called 'nonsense' here"),
    ):
        assert cli.main(["check", str(data), "--base", base]) == status
        said = capfd.readouterr().err
        assert sentence in said and said.count("\n") == 1
    assert not constants.HF_HUB_OFFLINE


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Missing argument 'DATA'"),
        (["nowhere.jsonl"], "there is no"),
        (["."], "is in the way"),
        (["mine.jsonl", "--max-tokens", "9"], "name it with --base"),
        (["mine.jsonl", "--base", "embedded", "--max-tokens", "0"], "give a whole number of at least 1"),
        (["mine.jsonl", "--html", "empty/../mine.jsonl"], "choose another name for --html"),
        (["mine.jsonl", "--held-out", "nowhere.jsonl"], "there is no"),
        (["mine.jsonl", "--base", "empty"], "has no config.json: give the folder"),
        (["empty/none.jsonl"], "holds no examples: write one a line"),
        (["mine.jsonl", "--held-out", "empty/none.jsonl"], "none.jsonl holds no examples: write one a line"),
    ],
)
def test_what_cannot_be_checked_is_one_sentence_and_the_status_is_two(
    data, tmp_path, monkeypatch, refused, words, sentence
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "none.jsonl").write_text("\n")
    refused(["check", *words], sentence)
    assert data.read_text() == GOOD
