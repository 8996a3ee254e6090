"""Preference pairs: split by topic, short against wordy, supervised on the answers alone, and a bad line is named."""

import json

import pytest
import torch
from tiny import AsciiTokenizer

from lora_lessons import tasks

GOOD = {"prompt": "Why?", "chosen": "So.", "rejected": "Well, it is like this."}


def test_the_pairs_are_split_by_topic_and_the_preferred_answer_is_the_short_one():
    pairs = tasks.load_pairs()
    assert (len(pairs.train), len(pairs.held_out)) == (48, 32)
    assert not {pair["topic"] for pair in pairs.train} & {pair["topic"] for pair in pairs.held_out}
    asked = [pair["prompt"] for pair in pairs.train + pairs.held_out] + tasks.everyday_questions()
    assert len(set(asked)) == len(asked)
    for pair in pairs.train + pairs.held_out:
        assert 3 * len(pair["chosen"].split()) < len(pair["rejected"].split())


def test_both_answers_follow_the_same_question_and_are_all_that_is_supervised():
    tokenizer = AsciiTokenizer()
    pair = tasks.encode_pair(tokenizer, GOOD)
    (given,) = {tuple(one.input_ids[one.labels == tasks.IGNORED].tolist()) for one in pair}
    assert "".join(map(chr, given)) == "user:Why?\x02assistant:"
    for one, side in zip(pair, ("chosen", "rejected"), strict=True):
        taught = one.labels[one.labels != tasks.IGNORED]
        assert "".join(map(chr, taught.tolist())) == GOOD[side] + tokenizer.eos_token
        assert torch.equal(taught, one.input_ids[-len(taught) :])


@pytest.mark.parametrize(
    "line, sentence",
    [
        ({**GOOD, "chosen": None}, 'line 2: "chosen" must be text, such as "Hello.", not null.'),
        ({name: GOOD[name] for name in ("prompt", "chosen")}, 'line 2: it has no "rejected": expected {"prompt"'),
        ({name: GOOD[name] for name in ("prompt", "rejected")}, 'line 2: it has no "chosen"'),
        ({"messages": [{"role": "user", "content": "Why?"}]}, "line 2: this is a chat with one answer"),
        ([], 'line 2: it has no "prompt"'),
        ({**GOOD, "rejected": " "}, 'line 2: "rejected" is empty'),
        ({**GOOD, "rejected": "So. "}, 'line 2: "chosen" and "rejected" are the same'),
        ({**GOOD, "rejected": "\ud800"}, "holds half a character"),
    ],
)
def test_a_bad_pair_is_named_by_line(tmp_path, line, sentence):
    (tmp_path / "pairs.jsonl").write_text(f"{json.dumps(GOOD)}\n{json.dumps(line)}\n")
    with pytest.raises(ValueError) as error:
        tasks.read_pairs(tmp_path / "pairs.jsonl")
    assert sentence in str(error.value)


def test_an_empty_file_says_what_a_pair_looks_like(tmp_path):
    (tmp_path / "pairs.jsonl").write_text("\n")
    with pytest.raises(ValueError, match='no examples: write one a line, {"prompt"'):
        tasks.read_pairs(tmp_path / "pairs.jsonl")
