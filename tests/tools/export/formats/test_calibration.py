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


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"Other.\n\n" + tasks.general_text().split("\n\n")[-1].strip().encode(), "another text to calibrate"),
        (b"Short.", "give more text"),
        ("café ".encode("cp1252") * 400, "it.txt: byte 4 is not UTF-8: save the file as UTF-8"),
    ],
    ids=["what is measured", "too little", "no UTF-8"],
)
def test_calibration_that_cannot_be_is_a_sentence(tokenizer, tmp_path, text, sentence):
    (tmp_path / "it.txt").write_bytes(text)
    with pytest.raises(ValueError, match=sentence):
        rows.windows_of(tokenizer, [tmp_path / "it.txt"], rows=1)
