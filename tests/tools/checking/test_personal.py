"""Personal data is found by kind, not where there is none, and printed nowhere."""

import json

import pytest
from chat_templates import CHATML, tokenizer_of

from lora_lessons.tasks import personal, read_jsonl
from lora_tools import checking

REAL = {
    "jo.doe+tea@mail.acme.org": "an e-mail address",
    "4111 1111 1111 1111": "a card number",
    "5500000000000004": "a card number",
    "3782-822463-10005": "a card number",
    "DE89 3704 0044 0532 0130 00": "an IBAN",
    "GB82WEST12345698765432": "an IBAN",
    "+49 170 1234567": "a phone number",
    "(212) 555-7890": "a phone number",
    "sk-proj-abcdefghijkl1234567890": "a key or token",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789": "a key or token",
    "AKIAIOSFODNN7QQQQQQQ": "a key or token",
}
NONE = [
    "4111 1111 1111 1112",
    "DE88 3704 0044 0532 0130 00",
    "someone@example.com and you@localhost.test",
    "pi is 3.141592653589793, or 3141592653589793",
    "from 2023-10-12 to 2024-11-30, 12:30:45",
    "1000 + 2000 = 3000; 0.5 - 0.25",
    "0000 0000 0000 0000",
    "the sk-learn docs, @decorator, a@b",
    "order 20240012345678901",
    # letters and digits of other scripts
    "DE89 3704 0044 0532 0130 0\u212a",
    "DE\u0668\u0669 3704 0044 0532 0130 00",
]


@pytest.mark.parametrize(("value", "kind"), REAL.items())
def test_each_kind_is_found_and_masked(value, kind):
    assert personal.kinds(f"Here: {value}, and more.") == (kind,)
    assert personal.masked(f"Here: {value}, then {value}.") == f"Here: [{kind}], then [{kind}]."


@pytest.mark.parametrize("text", NONE)
def test_what_is_none_is_not_found(text):
    assert personal.kinds(text) == () and personal.masked(text) == text


def test_a_number_is_found_beside_one_that_is_none():
    assert personal.masked("in 2024 4111 1111 1111 1111 was used") == "in 2024 [a card number] was used"


def message(role, content):
    return {"role": role, "content": content}


@pytest.mark.parametrize("value", REAL)
@pytest.mark.parametrize("as_table", [False, True])
def test_a_value_is_printed_nowhere(tmp_path, value, as_table):
    ask, say = message("user", "Which?"), message("assistant", f"Is it {value}?")
    talks = [
        {"messages": [message("user", f"My number: {value}"), say]},
        {"messages": [ask, message(value, "x"), say]},
        {"messages": [ask, {value: value}]},
        {"messages": [ask, message("assistant", [value])]},
        {"messages": [ask, message("assistant", {"x" * 15: value})]},
        {value: value},
        {"messages": value},
        value,
        [value],
    ]
    lines = [json.dumps(one) for one in talks] + [f'{{"messages": [{value}', f'"{value}", {value}']
    table = [f"{value},x", "completion", f'"{value}",{value}', f'"{value}" {value}', value]
    path = tmp_path / ("x.csv" if as_table else "x.jsonl")
    path.write_text("\n".join(table if as_table else lines))
    report = checking.check(path, tokenizer_of(CHATML), held_out=path)
    assert not report.all_usable and (as_table or "personal_data" in {problem.code for problem in report.problems})
    data = json.dumps(report.as_data(), ensure_ascii=False)
    for said in (checking.in_words(report), checking.as_page(report), data, str(report)):
        assert value not in said and value[:12] not in said and value[-8:] not in said
    with pytest.raises(ValueError) as refused:
        read_jsonl(path)
    assert value not in str(refused.value) and value[:12] not in str(refused.value)


def test_the_line_that_is_shown_holds_none(checked):
    lines = [{"messages": [message("user", "Which?"), message("assistant", text)]} for text in (*REAL, "That one.")]
    assert checked(*lines, tokenizer=tokenizer_of(CHATML)).example.line == len(lines)
    report = checked(*lines[:-1], tokenizer=tokenizer_of(CHATML))
    assert report.example is None
    assert "every line that can be used seems to hold personal data" in checking.in_words(report)
    assert "every line that can be used seems to hold personal data" in checking.as_page(report)


def test_each_kind_is_named_with_its_lines(checked):
    answers = ["jo@acme.org", "That one.", *["+49 170 1234567"] * 7, "jo@acme.org or (212) 555-7890"]
    talks = ([message("user", f"Which {n}?"), message("assistant", text)] for n, text in enumerate(answers))
    report = checked(*({"messages": talk} for talk in talks))
    said = "There seems to be an e-mail address in lines 1, 10; and a phone number in lines 3, 4, 5, 6, 7, …. "
    assert f"personal_data (9 lines: 1, 3, 4, 5, 6, …)\n    {said}" in checking.in_words(report)


def test_the_sum_of_an_iban_is_that_of_its_standard():
    """ISO 13616 letter by letter, beside the table that does it in one step."""
    for country, length in personal._LENGTHS.items():
        body = ("7X0A2B9" * 5)[: length - 4]
        spelt = "".join(str(int(one, 36)) for one in f"{body}{country}00")
        check = 98 - int(spelt) % 97
        assert personal.kinds(f"{country}{check:02}{body}") == ("an IBAN",)
        assert personal.kinds(f"{country}{(check + 1) % 100:02}{body}") == ()
