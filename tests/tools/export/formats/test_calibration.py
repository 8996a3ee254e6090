"""The calibration text: whole windows, from the files in turn, never what is measured."""

import json

import pytest

from lora_lessons import tasks
from lora_tools.exporting.formats import rows


def test_calibration_is_whole_windows_from_the_files_in_turn(tokenizer, tmp_path):
    talk = {"messages": [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "Bread and butter."}]}
    (tmp_path / "a.jsonl").write_text((json.dumps(talk) + "\n") * 40)
    (tmp_path / "b.txt").write_text("Plain paragraphs count.\n\n" * 40)
    windows = rows.windows_of(tokenizer, [tmp_path / "a.jsonl", tmp_path / "b.txt"], rows=3, window=64)
    assert [len(row) for row in windows] == [64, 64, 64]
    text = tokenizer.decode(windows[0])
    assert "Bread and butter." in text and "<|im_start|>" in text and "Plain paragraphs count." in text


def test_calibration_refuses_the_text_that_is_measured_and_too_little_text(tokenizer, tmp_path):
    (tmp_path / "leak.txt").write_text("Other.\n\n" + tasks.general_text().split("\n\n")[-1].strip())
    with pytest.raises(ValueError, match="another text to calibrate"):
        rows.windows_of(tokenizer, [tmp_path / "leak.txt"], rows=1)
    (tmp_path / "short.txt").write_text("Short.")
    with pytest.raises(ValueError, match="give more text"):
        rows.windows_of(tokenizer, [tmp_path / "short.txt"], rows=1)


def test_calibration_that_is_no_utf_8_or_that_the_template_refuses_is_a_sentence(tokenizer, tmp_path):
    (tmp_path / "old.txt").write_bytes("café ".encode("cp1252") * 400)
    with pytest.raises(ValueError, match=r"old.txt: byte 4 is not UTF-8: save the file as UTF-8"):
        rows.windows_of(tokenizer, [tmp_path / "old.txt"], rows=1)
