"""A learner's own file: whatever is wrong in it is named by line, and what is valid JSON is read."""

import json
import re

import pytest

from lora_lessons import tasks
from lora_lessons.tasks import jsonl

ASK = {"role": "user", "content": "a"}
SAY = {"role": "assistant", "content": "b"}
GOOD = json.dumps({"messages": [ASK, SAY]})


def line(*messages):
    return json.dumps({"messages": messages})


@pytest.fixture
def read(tmp_path):
    """A function that writes bytes to a file and reads its conversations."""

    def write_and_read(data):
        (tmp_path / "x.jsonl").write_bytes(data)
        return tasks.read_jsonl(tmp_path / "x.jsonl")

    return write_and_read


@pytest.mark.parametrize("separator", ["\u2028", "\u0085"])
def test_line_separators_inside_an_answer_are_part_of_it(read, separator):
    text = f'{{"messages": [{json.dumps(ASK)}, {{"role": "assistant", "content": "one{separator}two"}}]}}'
    assert read(f"{text}\n{GOOD}\n".encode())[0] == json.loads(text)


@pytest.mark.parametrize(
    "data", [b"\xef\xbb\xbf" + GOOD.encode(), GOOD.encode() + b"\r\n\r\n", b"\xef\xbb\xbf\n" + GOOD.encode() + b"\n"]
)
def test_a_byte_order_mark_and_windows_line_ends_are_read(read, data):
    assert read(data) == [json.loads(GOOD)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_is_named_with_what_to_do(read, encoding):
    with pytest.raises(ValueError, match=r"x\.jsonl, line 1: .*UTF-16.*save the file"):
        read(f"{GOOD}\n{GOOD}\n".encode(encoding))


def test_latin_1_is_named_with_line_and_byte(read):
    accented = GOOD.replace('"b"', '"é"')
    at = accented.index("é") + 1
    with pytest.raises(ValueError, match=rf"line 2: byte {at} is not UTF-8 \(it may be Latin-1\)"):
        read(f"{GOOD}\n{accented}\n".encode("latin-1"))


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ("not json", "it is not valid JSON: expecting value at character 1"),
        ("{}", "expected"),
        ('{"messages": []}', "expected"),
        (line({"role": "user", "content": "hi"}), "the last message must be"),
        (line({"role": "assistant", "content": " "}), "not empty"),
        ('{"messages": "a\tb"}', "invalid control character at character 16"),
        (line(ASK, SAY | {"weight": 0}), 'the last answer has "weight": 0'),
        (line(ASK, {"role": "assistant", "content": None}), "message 2 must have text as its content.*not null"),
        (line(ASK, {"role": "assistant", "content": ["b"]}), r'message 2 must have text.*not \["b"\]'),
        (line({"role": "user", "content": 7}, SAY), "message 1 must have text.*not 7"),
        (line({"role": "user"}, SAY), "message 1 must be"),
        (line("hi", "ho"), 'message 1 must be .*not "hi"'),
        (json.dumps({"messages": "hi"}), "expected.*a list of messages"),
        (json.dumps({"messages": {"role": "assistant"}}), "expected.*a list of messages"),
        (json.dumps([ASK, SAY]), "expected"),
        ("3", "expected"),
        (line(ASK, {"role": "assistant", "content": "\ud83d"}), r"message 2 holds half a character \(\\ud83d"),
        (line({"role": "teacher", "content": "a"}, SAY), 'unknown role "teacher": choose from system, user, assistant'),
        (line({"role": ["user"], "content": "a"}, SAY), "unknown role"),
        (line(SAY), "the answer has no question"),
        ("[" * 100_000, "nested too deep"),
        (line(ASK, SAY)[:-1] + ', "n": ' + "1" * 5000 + "}", "expected"),
    ],
    ids=range(22),
)
def test_what_no_base_can_learn_from_is_a_sentence_with_file_and_line(read, wrong, sentence):
    with pytest.raises(ValueError, match=rf"x\.jsonl, line 2: .*{sentence}"):
        read(f"{GOOD}\n{wrong}\n{GOOD}\n".encode())


def test_the_four_roles_are_read(read):
    talk = [{"role": role, "content": "a"} for role in jsonl.ROLES] + [SAY]
    assert read(line(*talk).encode()) == [{"messages": talk}]


def test_several_bad_lines_are_all_named_up_to_twenty(read):
    with pytest.raises(ValueError) as caught:
        read("\n".join([GOOD, "{}", GOOD, "no", line(SAY)]).encode())
    assert re.findall(r"line (\d+): ", str(caught.value)) == ["2", "4", "5"]
    with pytest.raises(ValueError) as caught:
        read("\n".join(["{}"] * 33).encode())
    *named, last = str(caught.value).splitlines()
    assert len(named) == jsonl.MOST_NAMED == 20
    assert last.startswith("13 more lines of ") and last.endswith("are wrong.")


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_a_line_of_two_megabytes_is_refused_and_the_next_one_read(read, start):
    long = line(ASK, {"role": "assistant", "content": "b" * 2_000_000})
    with pytest.raises(ValueError) as caught:
        read(start + f"{long}\n{GOOD}\n{{}}\n".encode())
    first, second = str(caught.value).splitlines()
    assert "line 1: more than 1,000,000 bytes" in first and "line 3: expected" in second


def test_a_line_of_exactly_the_limit_is_read(read):
    short = line(ASK, {"role": "assistant", "content": ""})
    long = line(ASK, {"role": "assistant", "content": "b" * (jsonl.LONGEST_LINE - len(short) - 1)})
    assert len(read(f"{long}\n{GOOD}".encode())) == 2


def test_an_empty_file_holds_no_examples(read):
    with pytest.raises(ValueError, match="holds no examples"):
        read(b"\n\n")
