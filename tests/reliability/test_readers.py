"""Every loader and parser, given files that are nearly right: the right result,
or one sentence that says what to do."""

import json
import os
import re

import pytest

from reliability import attacks, judging, mutations
from reliability.broken_readers import BROKEN
from reliability.commands import COMMANDS
from reliability.readers import READERS
from reliability.reporting import READER

# What may be made anew, and is where it cannot be read.
KEPT = ("finished.safetensors", "checkpoint.safetensors", "kept 4-bit manifest", "kept 4-bit weights")
# What a user names, and what lies beside it.
GIVEN = [
    name for name in READERS if re.search("adapter|base\\b|GGUF|training|to check|calibrate|notebook|report", name)
]
SENTENCE = "train.jsonl, line 3: byte 7 is not UTF-8 (it may be Latin-1): save the file as UTF-8."


def attacked(zygote, name, inputs, seed, record_property):
    row, found = attacks.attack(zygote, READERS[name], READERS[name].count(inputs), seed)
    record_property(READER, json.dumps(row))
    if found:
        pytest.fail(found, pytrace=False)


@pytest.mark.parametrize("name", READERS)
def test_a_reader_answers_a_sample_of_bad_files(name, zygote, seed):
    attacked(zygote, name, attacks.SAMPLE, seed, record_property=lambda *_: None)


@pytest.mark.reliability
@pytest.mark.parametrize("name", READERS)
def test_a_reader_answers_hundreds_of_bad_files(name, zygote, seed, record_property):
    attacked(zygote, name, attacks.INPUTS, seed, record_property)


@pytest.mark.parametrize("name, file", attacks.cases(), ids=lambda value: getattr(value, "name", value))
def test_what_was_found_once_stays_mended(name, file, zygote):
    zygote.ask("prepare", name=name)
    outcome = zygote.read(name, file.read_bytes())
    assert outcome.kind not in judging.BAD, outcome


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
@pytest.mark.parametrize("name", [name for name in READERS if READERS[name].errors and name not in KEPT])
def test_a_file_that_may_not_be_read_is_not_called_damaged(name, zygote):
    said = zygote.ask("odd file", name=name, oddity="is forbidden")
    assert said.startswith("you may not read ") and not judging.not_a_sentence(said)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other pipes")
@pytest.mark.parametrize("name", GIVEN)
def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(name, zygote):
    said = zygote.ask("odd file", name=name, oddity="is a pipe")
    assert said is not None, "it waits for ever"
    assert not said or not judging.not_a_sentence(said)


def test_the_full_amount_is_ten_thousand_inputs_and_fifty_kills():
    assert sum(reader.count(attacks.INPUTS) for reader in READERS.values()) >= 10_000
    assert sum(command.kills for command in COMMANDS.values()) >= 50
    assert {reader.kind for reader in READERS.values()} == mutations.KINDS.keys()


# ---- the net itself ----


@pytest.mark.parametrize("name", BROKEN)
def test_a_reader_that_is_broken_is_caught(name, zygote):
    """Each is right for the valid input, and wrong in its own way for any other."""
    zygote.ask("prepare", name=name)
    assert zygote.read(name, b"valid").kind == judging.RIGHT
    assert zygote.read(name, b"other").kind == name.partition(":")[0]


@pytest.mark.parametrize(
    "said, why",
    [
        (SENTENCE, ""),
        (f"{SENTENCE}\n{SENTENCE}", ""),
        ("config.json is damaged (Expecting value: line 1 column 1 (char 0)): copy it again.", ""),
        ("", "nothing"),
        ("'r'", "whole sentence"),
        ("damaged file", "whole sentence"),
        ("the file of the adapter is not right", "whole sentence"),
        ("The file of the adapter is somewhat damaged.", "what to do"),
        ("Expecting value: line 1 column 1 of the file, give another.", "programmers"),
        ("'NoneType' object is not subscriptable, so give another file.", "programmers"),
        ("KeyError: 'r' is missing in the file, so give another one.", "programmers"),
        ("give another file (<class 'torch.Tensor'> is not what was meant).", "programmers"),
        (f"{'x' * 1300} is no such file: give another one.", "characters"),
    ],
)
def test_a_sentence_says_what_is_wrong_and_what_to_do(said, why):
    assert why in judging.not_a_sentence(said) and bool(why) == bool(judging.not_a_sentence(said))
