"""The rules of the code style: each one broken alone is named alone, and no answer can do more than be read."""

import pytest

from lora_lessons.tasks import scores

GOOD = '''def count_long_words(text: str, least: int = 5) -> int:
    """Count the words that reach a length."""
    total = 0
    for word in text.split("-"):
        total += len(word) >= least
    return total'''
UNREADABLE = ["answer in Python alone, without a fence or a sentence: this cannot be read as Python"]
ALONE = ["write one function with def at the top level, and nothing beside it"]


def asked(question="Write a Python function count_long_words that counts the long words of a text."):
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": ""}]}


def faults(answer):
    return scores.faults("code_style", answer, asked())


def test_good_answers_pass():
    assert faults(GOOD) == []
    assert faults(f"\n{GOOD}\n") == []
    assert faults(GOOD.replace("len(word)", "word is not ValueError")) == []
    assert faults(GOOD.replace("= 5", "= 5, /, *rest: int, **more: int")) == []
    assert faults(GOOD.replace("return total", "return f\"{total} of {{}} {'a'}\"")) == []


@pytest.mark.parametrize(
    "old, new, advice",
    [
        ("count_long_words", "long_words", "call the function count_long_words"),
        ("text: str", "text", "annotate every parameter"),
        ("text: str", "text: str, *rest", "annotate every parameter"),
        (" -> int", "", "annotate every parameter"),
        ('    """Count the words that reach a length."""\n', "", "begin with a docstring"),
        ("Count the", "Counts the", "begin with a docstring"),
        ("Count the", "count the", "begin with a docstring"),
        ("Count the", "Counting the", "begin with a docstring"),
        ("Count the", "The count of the", "begin with a docstring"),
        ("length.", "length", "begin with a docstring"),
        ("Count the words", "Count the\n    words", "begin with a docstring"),
        ("    total = 0\n", "    total = 0\n    a = 1\n    b = 2\n\n", "write at most 6 lines"),
        ("    return total", "    yield total", "end with a return"),
        ("    return total", "    return", "end with a return"),
        ("    return total", "    return total  # done", "leave comments out"),
        ("    total = 0", '    total = print("#") or 0', "print nothing"),
        ('"-"', "'-'", "put text in double quotes"),
        ('"-"', "f'{text}'", "put text in double quotes"),
        ('"-"', '"' + 60 * "-" + '"', "keep every line within 88"),
        ("total", "theTotal", "name parameters and variables in snake_case"),
        ('"-"', '"' + 2_000 * "-" + '"', "stop after one short function"),
        ("least", "Least", "name parameters and variables in snake_case"),
        ('"-"', '"\u2013"', "use plain ASCII"),
    ],
)
def test_each_rule_broken_alone_is_named_alone(old, new, advice):
    assert old in GOOD
    found = faults(GOOD.replace(old, new))
    assert len(found) == 1 and advice in found[0]


@pytest.mark.parametrize(
    "answer, advice",
    [
        (f"```python\n{GOOD}\n```", UNREADABLE),
        (f"Here is the function:\n\n{GOOD}", UNREADABLE),
        ("def count_long_words(", UNREADABLE),
        (f"{GOOD}\n\n\n{GOOD}", ALONE),
        (f"import re\n\n\n{GOOD}", ALONE),
        (f"async {GOOD}", ALONE),
        ("", ALONE),
    ],
)
def test_an_answer_is_one_function_and_nothing_else(answer, advice):
    assert faults(answer) == advice


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "answer",
    [
        "(" * 1900,
        "-" * 1900 + "1",
        "x = " + "[" * 90 + "]" * 90,
        "a" + ".a" * 900,
        "\x00",
        GOOD + "\x00",
        "\ud800",
        "\\",
        '"\\d"',
        "9" * 1999,
        "".join(f"{' ' * n}if x:\n" for n in range(60)),
        "def count_long_words(): 0\f\r\n\r",
        GOOD * 100_000,
    ],
)
def test_hostile_answers_are_faults_and_never_exceptions(answer):
    assert faults(answer)


def test_nothing_in_an_answer_is_run(tmp_path):
    target = tmp_path / "written"
    assert faults(f"{GOOD}\nopen({str(target)!r}, 'w')") == ALONE
    faults(GOOD.replace("5", f'len(open("{target}", "w").name)'))
    assert not target.exists()


@pytest.mark.parametrize("question", ["Write a function.", "Write count_a or count_b."])
def test_a_question_must_name_one_function(question):
    with pytest.raises(ValueError, match="name one function"):
        scores.faults("code_style", GOOD, asked(question))
