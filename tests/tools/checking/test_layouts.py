"""The same conversation in every layout is the same conversation, and what the libraries parse is what we hand on."""

import csv
import io
import json
import re

import pytest

from lora_lessons import tasks
from lora_lessons.paths import course_root
from lora_lessons.tasks import jsonl
from lora_tools import checking
from lora_tools.checking import records

ASK, SAY = {"role": "user", "content": "What is tea?"}, {"role": "assistant", "content": 'A "leaf",\nin hot water.'}
TALK = [ASK, SAY]
AS_CSV = '"A ""leaf"",\nin hot water."'
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.fixture
def good(tmp_path):
    """A function that writes text to a file of this name, and returns its good lines."""

    def write_and_read(text, name="x.jsonl"):
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        return list(checking.conversations(tmp_path / name))

    return write_and_read


@pytest.mark.parametrize(
    ("record", "messages"),
    [
        ({"messages": TALK}, TALK),
        (
            {"conversations": [{"from": "human", "value": ASK["content"]}, {"from": "gpt", "value": SAY["content"]}]},
            TALK,
        ),
        ({"prompt": ASK["content"], "completion": SAY["content"]}, TALK),
        ({"prompt": [ASK], "completion": [SAY]}, TALK),
        ({"instruction": ASK["content"], "input": "", "output": SAY["content"]}, TALK),
        ({"instruction": ASK["content"], "output": SAY["content"], "system": "Be brief."}, [SYSTEM, *TALK]),
        ({"instruction": ASK["content"], "context": "", "response": SAY["content"]}, TALK),
        ({"question": ASK["content"], "answer": SAY["content"]}, TALK),
        ({"prompt": ASK["content"], "response": SAY["content"]}, TALK),
        ({"query": ASK["content"], "response": SAY["content"]}, TALK),
        ({"input": ASK["content"], "output": SAY["content"]}, TALK),
        ({"messages": [{**one, "content": [{"type": "text", "text": one["content"]}]} for one in TALK]}, TALK),
        ({"messages": [{"role": "developer", "content": "Be brief."}, *TALK]}, [SYSTEM, *TALK]),
        (
            {"instruction": "Translate.", "input": "Tee", "output": SAY["content"]},
            [{"role": "user", "content": "Translate.\n\nTee"}, SAY],
        ),
        ({"prompt": ASK["content"], "completion": SAY["content"], "topic": "other fields stay beside"}, TALK),
        (
            {
                "conversations": [
                    {"from": "human", "value": ASK["content"]},
                    {"from": "gpt", "value": SAY["content"], "weight": 0},
                    {"from": "human", "value": ASK["content"]},
                    {"from": "gpt", "value": SAY["content"]},
                ]
            },
            [ASK, SAY | {"weight": 0}, *TALK],
        ),
    ],
    ids=range(16),
)
def test_a_conversation_is_the_same_in_every_layout(good, record, messages):
    ((line, example),) = good(json.dumps(record))
    example.pop("messages_as_written", None)
    assert line == 1 and example == {"messages": messages} | {name: record[name] for name in record.keys() & {"topic"}}


CALL = {"name": "get_weather", "arguments": {"city": "Oslo"}}
BY_ROLES = ({"role": "tool_call", "content": json.dumps(CALL)}, {"role": "tool_response", "content": "3"})


@pytest.mark.parametrize(
    "record",
    [
        {
            "messages": [
                ASK,
                *BY_ROLES,
                SAY,
            ]
        },
        {
            "conversations": [
                {"from": "human", "value": ASK["content"]},
                {"from": "function_call", "value": json.dumps([CALL])},
                {"from": "observation", "value": "3"},
                {"from": "gpt", "value": SAY["content"]},
            ]
        },
    ],
    ids=range(2),
)
def test_roles_of_a_tool_call_that_other_trainers_have_are_read_as_one(good, tmp_path, record):
    ((_, example),) = good(json.dumps(record))
    assert [one["role"] for one in example["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert example["messages"][1]["tool_calls"] == [{"type": "function", "function": CALL}]
    assert set(example) == {"messages"}
    assert good(json.dumps(record).replace("name", "nom")) == []
    assert checking.check(tmp_path / "x.jsonl").problems[0].code == "bad_tool_call"


@pytest.mark.parametrize(
    ("record", "code", "sentence"),
    [
        ({"text": "The archive keeps maps."}, "plain_text", "text without turns"),
        ({"prompt": "Why?", "ground_truth": "So."}, "prompt_alone", "GRPO and RLOO"),
        ({"prompt": "Why?", "chosen": "So."}, "half_a_pair", "rejected is missing. Write it"),
        ({"prompt": [ASK], "rejected": [SAY]}, "half_a_pair", "chosen is missing. Write it"),
        ({"prompt": "Why?", "chosen": True}, "prompt_alone", "GRPO and RLOO"),
        # TRL's stepwise layout, of process rewards
        ({"prompt": "Why?", "completions": ["So."], "labels": [True]}, "other_layout", "for a PRM trainer"),
        (
            {"input": {}, "preferred_output": [SAY], "non_preferred_output": [SAY]},
            "other_layout",
            "Together or Fireworks",
        ),
        ({"segments": [{"label": True, "text": "So."}]}, "other_layout", "axolotl's type input_output"),
        ({"segments": "So."}, "unknown_layout", "expected"),
        ({"input_ids": [1, 2]}, "other_layout", "tokens already"),
        ({"version": 1, "data": [{"messages": TALK}]}, "unknown_layout", "jq -c '.data[]' FILE"),
        ({"prompt": {"0": "Why?"}, "completion": {"0": "So."}}, "unknown_layout", 'orient="records"'),
        ({"prompt": ["Why?", "How?"], "completion": ["So.", "Thus."]}, "unknown_layout", "whole columns"),
        ({"messages": json.dumps(TALK)}, "unknown_layout", "json.loads(text)"),
        ({"messages": str(TALK)}, "unknown_layout", "ast.literal_eval(text)"),
        ({"messages": [*TALK, ASK]}, "missing_role", "take off what follows it"),
        ({"messages": [{**ASK, "content": [{"type": "image"}]}, SAY]}, "picture_part", "train models on it that see"),
        ({"messages": [{**ASK, "content": [{"type": "file"}]}, SAY]}, "no_text", 'a part of type "file"'),
    ],
    ids=range(18),
)
def test_a_record_that_is_not_read_says_what_it_is(checked, record, code, sentence):
    (found,) = checked(record).problems
    assert (found.code, found.severity) == (code, "wrong") and sentence in found.sentence


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({"conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}]}, "sharegpt_roles"),
        ({"conversations": TALK}, ""),
        ({"conversations": TALK, "system": "Be brief."}, "system_beside"),
        ({"prompt": "Why?", "completion": "So.", "system": "Be brief."}, "system_beside"),
        ({"instruction": "Why?", "output": "So.", "system": "Be brief."}, ""),
        ({"messages": [{"role": "system", "content": "Use get_weather."}, ASK, *BY_ROLES, SAY]}, "tool_roles"),
        ({"messages": [ASK, SAY, {"role": "function", "content": "3"}, SAY]}, "tool_roles"),
        ({"messages": [ASK, SAY, {"role": "ipython", "content": "3"}, SAY]}, ""),
    ],
    ids=range(8),
)
def test_what_trl_passes_over_in_a_layout_that_is_read_is_said(tmp_path, record, code):
    (tmp_path / "x.jsonl").write_text(json.dumps(record))
    report = checking.check(tmp_path / "x.jsonl", held_out=tmp_path / "x.jsonl")
    found = [one.code for one in report.problems if one.code not in ("too_few", "leak")]
    assert found == ([code] if code else []) and report.all_usable
    assert ("For other trainers, such as TRL's" in checking.in_words(report)) == bool(code)


def test_trl_leaves_sharegpts_roles_as_they_are():
    trl = pytest.importorskip("trl")
    turns = [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}]
    made = trl.maybe_convert_to_chatml({"conversations": turns, "system": "Be brief."})
    assert [one["role"] for one in made["messages"]] == ["human", "gpt"]


def test_a_line_in_pythons_way_is_named(checked):
    assert "json.dumps" in checked(str({"messages": TALK}), "{}").problems[0].sentence


def test_a_table_of_texts_or_of_prompts_alone_is_for_other_trainers(checked):
    good = '{"prompt": "Why?", "completion": "So."}'
    (found, _) = checked('{"prompt": "Why?", "answer": "So."}', good).problems
    assert found.code == "misspelt_field" and '["prompt", "answer"]: a name looks misspelt' in found.sentence
    for columns, row, code in (("text", "The archive.", "plain_text"), ("Prompt,Solution", "Why?,So.", "prompt_alone")):
        (found,) = checked(columns, row, "", name="x.csv").problems
        assert (found.code, found.lines) == (code, (2,))


def test_a_table_whose_cells_are_not_parted_by_commas_is_named(checked):
    for sign, named in ((";", True), ("\t", True), (",", False)):
        problems = checked(f"prompt{sign}completion", f"Why?{sign}So.", "", name="x.csv").problems
        assert ("delimiter" in [one.code for one in problems]) == named


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("header", ["prompt,completion", "Instruction,Input,Output", "\ufeffquestion,answer"])
def test_the_header_of_a_table_decides(good, header, delimiter):
    cells = [ASK["content"], AS_CSV] if header.count(",") == 1 else [ASK["content"], "", AS_CSV]
    text = "\r\n".join(delimiter.join(row) for row in (header.split(","), cells)) + "\r\n"
    assert good(text, "x.csv") == [(2, {"messages": TALK})]


def test_a_file_of_another_name_is_known_by_how_it_begins(good):
    assert good("prompt,completion\na,b\n", "x.txt") == good('\n{"prompt": "a", "completion": "b"}\n', "y.txt")


def test_line_numbers_count_blank_lines_and_the_lines_inside_a_cell(good):
    assert [line for line, _ in good(f"prompt,completion\n\na,{AS_CSV}\n\n\nb,c\n", "x.csv")] == [3, 7]


@pytest.mark.parametrize("task", ["persona", "strict_json", "code_style", "plain_language"])
def test_a_good_file_is_read_as_the_strict_reader_and_json_read_it(task):
    path = course_root() / "data" / task / "train.jsonl"
    mine = [example for _, example in checking.conversations(path)]
    assert mine == tasks.read_jsonl(path) == [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_where_every_row_is_broken_no_line_is_read_again_and_again(good, monkeypatch):
    read, lines = [], 200
    whole = records.text_of
    monkeypatch.setattr(records, "text_of", lambda line: read.append(line) or whole(line))
    # each lacks its first quotation mark, so that a cell is open at every line end
    assert good("prompt,completion\n" + 'What is tea?","A leaf.\n' * lines, "x.csv") == []
    assert lines < len(read) < 4 * lines


def test_a_table_is_read_as_the_csv_module_reads_it(good):
    out = io.StringIO()
    rows = [[f'q{n}, "{n}"\n{"x" * n}', f";a\t{n}'\r\n\u2028é"] for n in range(50)]
    csv.writer(out).writerows([["prompt", "completion"], *rows])
    read = list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))
    mine = [[message["content"] for message in example["messages"]] for _, example in good(out.getvalue(), "x.csv")]
    assert mine == [[row["prompt"], row["completion"]] for row in read] == rows


@pytest.mark.parametrize(
    ("table", "kept", "broken"),
    [
        ('p,c\na,b\nc,"d\ne,f\ng,h\n', ["a", "e", "g"], [3]),
        ('p,c\na,b\nc,"d" x\ne,f\n', ["a", "e"], [3]),
        ('p,c\nc,"d ""x" y\nand, so"\ne,f\n', ["e"], [2]),
        ("p,c\na,b,c\nd\ne,f,,\n", ["e"], [2, 3]),
        ('p,c\n"a\nb",c\nd,"e\n"f\ng",h\n', ["a\nb", "f\ng"], [4]),
    ],
    ids=[
        "never closed",
        "text after a quotation mark",
        "in two lines",
        "too many and too few cells",
        "between long rows",
    ],
)
def test_a_broken_row_costs_itself_alone(tmp_path, table, kept, broken):
    path = tmp_path / "x.csv"
    path.write_text(table.replace("p,c", "prompt,completion", 1))
    assert [example["messages"][0]["content"] for _, example in checking.conversations(path)] == kept
    (problem,) = [one for one in checking.check(path).problems if one.code == "broken_csv"]
    assert (list(problem.lines), problem.severity) == (broken, "wrong")


def test_a_table_without_names_of_columns_says_so(checked):
    report = checked("What is tea?,A leaf.", "And milk?,White.", "", name="x.csv")
    assert report.good == 0 and not report.all_usable
    assert "name the columns" in report.problems[0].sentence


@pytest.mark.parametrize(
    ("begins", "sentence"),
    [
        (b"PK\x03\x04rest", "save the table as CSV"),
        (b"PAR1rest", "Parquet: write it as JSON lines"),
        (b"\x1f\x8brest", "unpack it with gunzip"),
        (b"\n\n", "holds no examples: write one a line"),
        (b"", "holds no examples"),
        (b'{\n "prompt": "a",\n "completion": "b"\n}\n{\n}', r"over several lines.*put \[ before it.*jq -c \. FILE"),
        (b'{"data": [\n' + b'{"prompt": "a", "completion": "b"},\n' * 40_000, "over several lines"),
        (b'{"a": 1}\n' + b"\0" * 3_000_000, "x.jsonl goes on for 2 MB without an end"),
        (b'[\n{"a": 1},\n' + b"\0" * 3_000_000, "x.jsonl goes on for 2 MB without an end"),
        (b'[\n{"a": 1}\n]' + b"\0" * 3_000_000, "x.jsonl goes on for 2 MB without an end"),
    ],
    ids=range(10),
)
def test_a_file_that_has_no_lines_is_one_sentence(checked, begins, sentence, monkeypatch):
    monkeypatch.setattr(jsonl, "ENDLESS", 2_000_000)
    with pytest.raises(ValueError, match=sentence):
        checked(begins)


@pytest.mark.parametrize(
    ("begins", "sentence", "good"),
    [
        (
            '{"prompt": "Café?", "completion": "b"}\n',
            "byte 16 is not UTF-8 (it may be Latin-1): save the file as UTF-8.",
            1,
        ),
        ('{"prompt": "a", "completion": "b"}\r' * 2, "end no line here: save the file with line feeds.", 0),
        (
            '{"prompt": "a", "completion": "b"} {"a": 1}\n',
            "object begins at character 36: put it on a line of its own.",
            1,
        ),
        ('{"prompt": ' + "9" * 5000 + "}\n", "thousands of digits", 1),
    ],
)
def test_a_first_line_that_is_no_object_by_itself_is_a_bad_line(checked, begins, sentence, good):
    report = checked(f'{begins}{{"prompt": "c", "completion": "d"}}'.encode("latin-1"))
    assert sentence in report.problems[0].sentence and (report.problems[0].lines, report.good) == ((1,), good)


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", ["x.json", "x.txt", "x.jsonl"])
def test_one_list_over_many_lines_is_read_element_by_element(tmp_path, monkeypatch, indent, name):
    """As alpaca_data.json is; in one line of a .jsonl it is a bad line."""
    monkeypatch.setattr(records, "PIECE", 17)
    elements = [{"instruction": f'{n} "[{{\\', "input": "]},\n" * n, "output": f"{n} {' ' * 40}é\\"} for n in range(9)]
    text = json.dumps(elements, indent=indent, ensure_ascii=False)
    (tmp_path / name).write_text(f"\n{text}\n")
    mine = list(checking.conversations(tmp_path / name))
    if indent is None and name == "x.jsonl":
        assert mine == []
        return
    assert [example["messages"][1]["content"] for _, example in mine] == [one["output"] for one in elements]
    assert [line for line, _ in mine] == [n + 1 if indent is None else 3 + 5 * n for n in range(9)]


def test_in_a_list_that_stands_in_one_line_the_elements_are_counted(tmp_path):
    talks = [{"prompt": f"Question {n}?", "completion": "Ask anna.smith@gmail.com." * n} for n in range(4)]
    (tmp_path / "x.json").write_text(json.dumps([*talks, talks[2], 3]))
    (tmp_path / "y.jsonl").write_text("\n\n" + json.dumps({"prompt": "Question 3?", "completion": "So."}))
    report = checking.check(tmp_path / "x.json", held_out=tmp_path / "y.jsonl")
    said = checking.in_words(report)
    assert not re.search(r"\bline \d", said.replace("line 3 of the held-out file", ""))
    assert {problem.code: problem.lines for problem in report.problems} == {
        "empty_answer": (1,),
        "unknown_layout": (6,),
        "personal_data": (2, 3, 4, 5),
        "duplicate": (5,),
        "leak": (4,),
        "too_few": (),
    }
    assert (
        "4 of 6 elements can be used" in said
        and "unknown_layout (element 6)" in said
        and "the same as element 3" in said
    )
    assert "in elements 2, 3, 4, 5. Take" in said and "(4 elements: 2, 3, 4, 5)" in said
    assert 'unknown_layout</code> <span class="place">(element 6)' in checking.as_page(report)


def test_a_first_line_that_is_cut_costs_itself_alone(good):
    line = '{"prompt": "a", "completion": "b"}'
    for cut in ("{", '{"messages": [', '{"messages":', line[:-1], line[:-3]):
        assert [number for number, _ in good(f"{cut}\n{line}\n")] == [2]


def test_a_broken_element_of_a_list_costs_itself_alone(tmp_path):
    good = {"prompt": "a", "completion": "b"}
    long = {"prompt": "a", "completion": "b" * 1_000_001}
    made = [json.dumps(good), '{"prompt": }', json.dumps(long), "3", json.dumps(good)]
    (tmp_path / "x.json").write_text("[\n" + ",\n".join(made) + "\n]")
    report = checking.check(tmp_path / "x.json")
    assert [line for line, _ in checking.conversations(tmp_path / "x.json")] == [2, 6]
    assert {p.code: p.lines for p in report.of("wrong")} == {
        "broken_json": (3,),
        "line_too_long": (4,),
        "unknown_layout": (5,),
    }
