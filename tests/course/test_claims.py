"""Every verdict's condition holds on the recorded baselines, and is shown in its lesson."""

import re

import nbformat
import pytest

from lora_lessons.course import claims
from lora_lessons.course.lesson import notebook_of
from lora_lessons.lessons import all_claims
from lora_lessons.run.baselines import read_baseline


def recorded(lesson):
    """The values of the lesson's quick baseline, by record name."""
    return {name: entry["expected"] for name, entry in read_baseline(lesson)["records"].items()}


def read(lesson):
    return nbformat.read(notebook_of(lesson), 4)


@pytest.mark.parametrize("claim", all_claims(), ids=lambda c: f"{c.id}-{c.lesson}")
def test_the_verdict_stands_on_the_records(claim):
    values = recorded(claim.lesson)
    assert claim.judge(values), (
        f"{claim.id}: “{claim.verdict}” no longer follows from {[(n, values[n]) for n in claim.records]}"
    )
    assert "{" not in claim.filled(values)
    assert set(re.findall(r"\{([\w.]+)(?::[^}]+)?\}", claim.sentence)) <= set(claim.records)


def test_the_verdicts_of_a_lesson_are_shown_in_it():
    for claim in all_claims():
        source = "\n".join(c.source for c in read(claim.lesson).cells if c.cell_type == "code")
        assert f'verdict("{claim.id}", "{claim.lesson}")' in source


def test_the_five_lessons_claims_of_the_glossary_are_all_judged():
    judged = {(c.id, c.lesson[:2]) for c in all_claims()}
    expected = "G01-02 G01-03 G02-03 G04-02 G05-02 G07-01 G07-03 G08-02 G09-03 G10-04 G11-04"
    assert {tuple(pair.split("-")) for pair in expected.split()} <= judged


def test_a_verdict_that_fails_says_so_instead_of_pretending(capsys, monkeypatch):
    one = all_claims()[0]
    with pytest.raises(KeyError, match="has not been recorded"):
        one.judge({})
    monkeypatch.setattr(claims, "CLAIMS", [one._replace(decides=lambda r: False, records=(), sentence="Look.")])
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda html: shown.append(html.data))
    claims.verdict(one.id, one.lesson)
    assert "not what we saw here" in shown[0]


def test_a_claim_that_was_not_tested_says_so_on_a_grey_card(monkeypatch):
    monkeypatch.setattr(claims, "CLAIMS", [])
    says, sentence = "Unsloth is twice as fast", "No card was here to run it on."
    made = claims.claim("G17", "08_x", says=says, verdict=claims.NOT_TESTED, sentence=sentence, records=())
    made(lambda measured: True)
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda html: shown.append(html.data))
    claims.verdict("G17", "08_x")
    assert "<b>Verdict: not tested.</b> No card was here to run it on." in shown[0]
    assert claims.GREY in shown[0] and not [edge for edge in claims.EDGES.values() if edge in shown[0]]
