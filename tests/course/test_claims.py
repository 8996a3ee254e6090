"""Every verdict's condition holds on the recorded baselines, and prose quotes only what records support."""

import json
import math
import re

import nbformat
import pytest

from lora_lessons.course import claims
from lora_lessons.course.lesson import lessons
from lora_lessons.lessons import all_claims
from lora_lessons.paths import course_root

LESSONS = [p.stem for p in lessons()]


def baseline(lesson):
    """The lesson's quick baseline: (values by record name, minutes)."""
    data = json.loads((course_root() / "data" / "baselines" / f"{lesson}.quick.json").read_text(encoding="utf-8"))
    return {name: r["expected"] for name, r in data["records"].items()}, math.ceil(data["seconds"] / 60)


def problems(lesson, notebook):
    values, minutes = baseline(lesson)
    cells = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    return [p for source in cells for p in claims.prose_problems(source, values, minutes)]


def read(lesson):
    return nbformat.read(course_root() / "notebooks" / f"{lesson}.ipynb", 4)


@pytest.mark.parametrize("claim", all_claims(), ids=lambda c: f"{c.id}-{c.lesson}")
def test_the_verdict_stands_on_the_records(claim):
    values, _ = baseline(claim.lesson)
    assert claim.judge(values), (
        f"{claim.id}: “{claim.verdict}” no longer follows from {[(n, values[n]) for n in claim.records]}"
    )
    assert "{" not in claim.filled(values)
    assert set(re.findall(r"\{([\w.]+)(?::[^}]+)?\}", claim.sentence)) <= set(claim.records)


@pytest.mark.parametrize("lesson", LESSONS)
def test_prose_quotes_only_what_the_records_support(lesson):
    assert problems(lesson, read(lesson)) == []


@pytest.mark.parametrize("lesson", [p for p in LESSONS if not p.startswith("00")])
def test_a_changed_number_in_prose_is_noticed(lesson):
    """Sabotage: the net must catch a number that no longer agrees with its record."""
    notebook = read(lesson)
    cell, quoted = next(
        (c, q)
        for c in notebook.cells
        if c.cell_type == "markdown"
        for q in claims.quoted_numbers(c.source)
        if q.kind == "record"
    )
    cell.source = cell.source.replace(quoted.number + "", "77" + quoted.number, 1)
    assert problems(lesson, notebook)


def test_the_verdicts_of_a_lesson_are_shown_in_it():
    for claim in all_claims():
        source = "\n".join(c.source for c in read(claim.lesson).cells if c.cell_type == "code")
        assert f'verdict("{claim.id}", "{claim.lesson}")' in source


def test_the_five_lessons_claims_of_the_glossary_are_all_judged():
    judged = {(c.id, c.lesson[:2]) for c in all_claims()}
    expected = "G01-02 G01-03 G02-03 G04-02 G05-02 G07-01 G07-03 G08-02 G09-03 G10-04 G11-04"
    assert {tuple(pair.split("-")) for pair in expected.split()} <= judged


@pytest.mark.parametrize(
    "text, found",
    [
        ("It took 3.4 s.", ["3.4"]),
        ("It cut 97% of it, and 12 MB.", ["97", "12"]),
        ("Rank 8 of 576, r = 64, lesson 03, the paper's section 7.2.", []),
        ("`0.5` and $0.25$ and $$1.5$$ are code and formulas", []),
        ("8.4<!--record a.b--> nats, 62.0<!--published LoRA Table 7-->", []),
        ("see [1.5](https://example.org/2.5)", ["1.5"]),
    ],
)
def test_numbers_that_look_measured_are_found(text, found):
    assert claims.free_numbers(text) == found


def test_quoted_numbers_are_compared_at_their_own_digits():
    values = {"a": 8.449, "share": 0.4512, "n": 19_988_480}
    good = "8.4<!--record a--> 8.45<!--record a--> 45%<!--record share--> 45.1%<!--record share--> 19,988,480<!--record n-->"
    assert claims.prose_problems(good, values, 1) == []
    for bad in ("8.5<!--record a-->", "46%<!--record share-->", "1<!--record absent-->", "2<!--calc lesson minutes-->"):
        assert len(claims.prose_problems(bad, values, 1)) == 1, bad


def test_a_verdict_that_fails_says_so_instead_of_pretending(capsys, monkeypatch):
    one = all_claims()[0]
    with pytest.raises(KeyError, match="has not been recorded"):
        one.judge({})
    monkeypatch.setattr(claims, "CLAIMS", [one._replace(decides=lambda r: False, records=(), sentence="Look.")])
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda html: shown.append(html.data))
    claims.verdict(one.id, one.lesson)
    assert "not what we saw here" in shown[0]
