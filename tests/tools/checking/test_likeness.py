"""MinHash against what it stands for, and how little of a file is kept."""

import json
import random
import tracemalloc

import pytest
from chat_templates import CHATML, tokenizer_of

from lora_tools import checking
from lora_tools.checking import likeness, tokens

WORDS = [f"{a}{b}{c}" for a in "btkmr" for b in "aeiou" for c in "lnst"]


def text_of(seed, words=60):
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def runs(text):
    return {text[at : at + likeness.RUN] for at in range(len(text) - likeness.RUN + 1)}


def shared(one, other):
    return len(runs(one) & runs(other)) / len(runs(one) | runs(other))


def changed(text, words, seed=0):
    parts, draw = text.split(), random.Random(seed)
    for at in draw.sample(range(len(parts)), words):
        parts[at] = "xyzzy"
    return " ".join(parts)


@pytest.mark.parametrize("words", [0, 2, 10, 40])
def test_equal_bytes_are_as_many_as_runs_in_common(words):
    """Over many pairs, since of one pair only 32 draws are seen."""
    pairs = [(text_of(seed), changed(text_of(seed), words, seed)) for seed in range(60)]
    rows = likeness.table(b"".join(likeness.signature(text) for pair in pairs for text in pair))
    measured = (rows[::2] == rows[1::2]).mean()
    assert abs(measured - sum(shared(*pair) for pair in pairs) / len(pairs)) < 0.03


def test_all_nearly_equal_texts_are_found_and_no_others():
    texts = [text_of(seed, 200) for seed in range(40)]
    near = [changed(text, 2) for text in texts[:20]]
    far = [changed(text, 60) for text in texts[20:]]
    rows = likeness.table(b"".join(map(likeness.signature, texts + near + far)))
    assert likeness.near_pairs(rows) == {40 + n: n for n in range(20)}
    assert likeness.nearest(rows[40:], rows[:40]) == {n: n for n in range(20)}
    assert likeness.near_pairs(rows[:1]) == likeness.near_pairs(rows[:0]) == likeness.nearest(rows, rows[:0]) == {}


def test_a_thousand_equal_lines_are_all_found():
    rows = likeness.table(likeness.signature("the same") * 1000)
    assert len(likeness.near_pairs(rows)) == 999


def test_lines_that_share_a_long_instruction_are_near_only_where_their_ends_are(tmp_path):
    instruction, asked = text_of(1, 500), [f"{text_of(n, 12)}?" for n in (2, 3, 4)]

    def talks(name, questions, system):
        turns = [{"role": "system", "content": instruction}] if system else []
        before = "" if system else f"{instruction}\n\n"
        users = ({"role": "user", "content": before + question} for question in questions)
        talks = ([*turns, user, {"role": "assistant", "content": f"{n} apples"}] for n, user in enumerate(users))
        (tmp_path / name).write_text("\n".join(json.dumps({"messages": talk}) for talk in talks))
        return tmp_path / name

    for system in (True, False):
        learned = talks("x.jsonl", [*asked[:2], f"{asked[1]} Now"], system)
        report = checking.check(learned, held_out=talks("y.jsonl", [asked[2], f"{asked[0]} Now"], system))
        found = {one.code: one.lines for one in report.problems if one.lines}
        assert found == {"near_duplicate": (3,), "near_leak": (1,)}, system
    many = talks("z.jsonl", [f"{asked[0]} {n}" for n in range(4)], True)  # a template's own words are no leak
    report = checking.check(many, held_out=talks("y.jsonl", [f"{asked[0]} Now"], True))
    assert not report.leaks


def test_calls_with_other_arguments_are_not_nearly_the_same(checked):
    def line(n, room):
        call = {"type": "function", "function": {"name": "lamp", "arguments": {"room": room}}}
        asked = {"role": "user", "content": f"{text_of(1, 60)} in room {n}"}
        return json.dumps({"messages": [asked, {"role": "assistant", "content": "", "tool_calls": [call]}]})

    for rooms, count in ((("hall", "hall"), 1), (("hall", "attic"), 0)):
        found = [one.code for one in checked(*map(line, (1, 2), rooms)).problems]
        assert found.count("near_duplicate") == count, rooms


@pytest.mark.parametrize("text", ["", "a", "é🙂", "x" * 100_000])
def test_a_text_of_any_length_has_a_signature(text):
    assert len(likeness.signature(text)) == likeness.ORDERS


def write(path, count):
    with path.open("w") as file:
        for n in range(count):
            talk = [
                {"role": "user", "content": f"{n} {text_of(n, 9)}"},
                {"role": "assistant", "content": text_of(n) * 20},
            ]
            file.write(json.dumps({"messages": talk}) + "\n")
    return path


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Lines of five kilobytes; what is kept of each is less than a tenth of a kilobyte, and some room to sort it."""
    few, many = 100, 700
    small, large = write(tmp_path / "small.jsonl", few), write(tmp_path / "large.jsonl", many)
    peaks = []
    for path in (small, small, large):
        tracemalloc.start()
        report = checking.check(path, held_out=small)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert report.good == many
    line = large.stat().st_size / many
    assert (peaks[2] - peaks[1]) / (many - few) < 400 < line / 10


def test_the_tokenizer_gets_batches_of_a_bounded_size(tmp_path, monkeypatch):
    tokenizer, sizes = tokenizer_of(CHATML), []
    made = tokens.tokenized
    each = lambda written: [part for text in written for part in text[:2]]  # noqa: E731
    monkeypatch.setattr(tokens, "tokenized", lambda t, written: sizes.append(each(written)) or made(t, written))
    monkeypatch.setattr(tokens, "CHARACTERS", 30_000)
    checking.check(write(tmp_path / "x.jsonl", 50), tokenizer)
    assert len(sizes) > 5 and sum(map(len, sizes)) == 100
    assert max(sum(map(len, texts)) for texts in sizes) <= 30_000
    sizes.clear()
    monkeypatch.setattr(tokens, "BATCH", 7)
    monkeypatch.setattr(tokens, "CHARACTERS", 10**9)
    checking.check(tmp_path / "x.jsonl", tokenizer)
    assert max(map(len, sizes)) == 14
