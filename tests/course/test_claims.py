"""Every verdict follows from the recorded baselines, from nothing else, and is shown in its lesson.

What other records must make of a verdict stands in `counter_examples.py`.
"""

import re
import runpy
from collections import UserDict
from itertools import combinations
from pathlib import Path

import nbformat
import pytest

from lora_lessons.course import claims
from lora_lessons.course.lesson import notebook_of
from lora_lessons.lessons import all_claims
from lora_lessons.run.baselines import read_baseline, values

CLAIMS = [pytest.param(claim, id=f"{claim.id}-{claim.lesson}") for claim in all_claims()]
EXAMPLES = runpy.run_path(str(Path(__file__).with_name("counter_examples.py")))["EXAMPLES"]


def recorded(lesson):
    """The values of the lesson's quick baseline, by record name."""
    return {name: entry["expected"] for name, entry in read_baseline(lesson)["records"].items()}


class Watched(UserDict):
    """Records that remember which of them were read."""

    def __init__(self, values, read):
        super().__init__(values)
        self.read = read

    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)


def problems(claim, examples):
    """What is wrong with a claim: a verdict that is not the examples', or a record that could say anything."""
    claim = claim._replace(at_sizes=None)  # what other sizes of base make of it is another question
    known, read = recorded(claim.lesson), set()
    judged = [(changes, claim.judge(Watched(known | changes, read))) for changes, _ in examples]
    for (changes, found), (_, verdict) in zip(judged, examples, strict=True):
        if found != verdict:
            yield f"with {changes or 'the baseline'} it is {found}, not {verdict}"
    if examples[0] != ({}, claim.written_for):
        yield f"its sentence is written for {claim.written_for}, and the baseline gives {examples[0]}"
    decides = set()
    for (one, before), (other, after) in combinations(judged, 2):
        differ = [name for name in one.keys() | other.keys() if (known | one)[name] != (known | other)[name]]
        if before != after and len(differ) == 1:
            decides.add(differ[0])
    filled = set(re.findall(r"\{([\w.]+)(?::[^}]+)?\}", claim.sentence))
    for name in sorted(read - decides):
        yield f"no counter-example changes the verdict by {name} alone"
    for name in sorted(decides - read):
        yield f"{name} has a counter-example and is not read"
    for name in sorted(set(claim.rests_on(known)) - (read | filled)):
        yield f"{name} must either decide or stand in the sentence"


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_verdict_follows_from_the_records_and_from_each_that_it_reads(claim):
    assert list(problems(claim, EXAMPLES[claim.id, claim.lesson])) == []
    assert "{" not in claim.filled(recorded(claim.lesson))


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_yes_or_no_stands_in_the_sentence_in_words(claim):
    """As “They are the same”, and not as “Are they the same? yes”."""
    known = recorded(claim.lesson)
    fields = re.findall(r"\{([\w.]+)(?::([^}]+))?\}", claim.sentence)
    assert [name for name, words in fields if isinstance(known[name], bool) != ("|" in words)] == []


def test_a_sentence_says_what_was_measured():
    made = claims.Claim("G01", "x", "", claims.HOLDS, "It {a.b:holds|does not hold}, {c:.1f} of {c}.", [])
    assert made.filled({"a.b": True, "c": 2.0}) == "It holds, 2.0 of 2."
    assert made.filled({"a.b": False, "c": 2.0}) == "It does not hold, 2.0 of 2."


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_verdict_follows_with_every_seed(claim):
    baseline = read_baseline(claim.lesson)
    seeds = min(len(entry["seeds"]) for entry in baseline["records"].values())
    assert {claim.judge(values(baseline, seed)) for seed in range(seeds)} == {claim.written_for}


def test_a_rule_is_a_comparison_of_records_and_nothing_else():
    values = {"a.b": 3, "copy_gb.qwen2.5": 15.2, "same": False, "kind": "published"}
    for comparison, found in [
        ("1 < a.b <= 3", True),
        ("1 < a.b < 3", False),
        ('copy_gb["qwen2.5"] > 2 * a.b + 5 and not same', True),
        ('same or kind == "published"', True),
        ("abs(a.b - 4) < 0.5", False),
        ("True", True),
    ]:
        assert claims.follows(comparison, values) is found, comparison
    with pytest.raises(KeyError, match="a.c"):
        claims.follows("a.c > 1", values)
    with pytest.raises(ValueError, match="is no comparison of records"):
        claims.follows("__import__('os').getcwd()", values)


def test_a_damaged_table_of_claims_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "course_root", lambda: tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "claims.toml").write_text("claim = [", encoding="utf-8")
    with pytest.raises(ValueError, match="claims.toml is not a table of claims .*restore it from git"):
        claims.rows()


def test_the_verdicts_of_a_lesson_are_shown_in_it():
    for claim in all_claims():
        source = "\n".join(c.source for c in nbformat.read(notebook_of(claim.lesson), 4).cells if c.cell_type == "code")
        assert f'verdict("{claim.id}", "{claim.lesson}")' in source


def shown_cards(monkeypatch, *judged):
    """What `verdict` shows for each (claim, rules)."""
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda html: shown.append(html.data))
    for one, rules in judged:
        made = one._replace(rules=rules, sentence="Look.", at_sizes=None)
        monkeypatch.setattr(claims, "CLAIMS", [made])
        claims.verdict(one.id, one.lesson)
    return shown


def test_a_verdict_that_fails_says_so_instead_of_pretending(monkeypatch):
    one = all_claims()[0]
    with pytest.raises(KeyError, match="has not been recorded"):
        one.judge({})
    assert one.written_for == claims.CORRECTED
    cards = shown_cards(monkeypatch, (one, []), (one, [(claims.HOLDS, "True")]))
    for card, why in zip(cards, ("says otherwise", "says “holds”"), strict=True):
        assert (
            "<details open><summary><b>Verdict: not what we saw here.</b> What we saw</summary>The course "
            "expected “corrected”, but what"
        ) in card
        assert why in card and card.endswith("Look.</details></div>")


def test_every_label_is_a_verdict():
    for claim in all_claims():
        assert {claim.written_for} <= {label for label, _ in claim.rules} <= {*claims.VERDICTS}, claim.id


def test_what_is_not_so_at_another_size_of_base_is_corrected_no_longer_and_its_card_says_at_which():
    one = all_claims()[0]
    assert one.written_for == claims.CORRECTED and one.at_sizes
    known, words = recorded(one.lesson), "Seen at 135M; not seen at <7B>."
    seen, denied = (one._replace(at_sizes=lambda denied=d: claims.AtSizes(words, denied)) for d in (False, True))
    assert (seen.judge(known), denied.judge(known)) == (claims.CORRECTED, claims.CONDITION)
    assert "says “holds with a condition”" in claims.card(denied, known).sentence
    shown = claims.card(seen, known)
    assert shown.at_sizes == claims.ELSEWHERE and claims.read_card(shown.html()) == shown
    alone = claims.card(one._replace(at_sizes=None), known)
    assert claims.read_card(alone.html()) == alone and alone.at_sizes == ""


def test_a_claim_that_was_not_tested_says_so_on_a_grey_card(monkeypatch):
    untested = all_claims()[0]._replace(written_for=claims.NOT_TESTED)
    (card,) = shown_cards(monkeypatch, (untested, [(claims.NOT_TESTED, "True")]))
    assert "<b>Verdict: not tested.</b>" in card
    assert claims.GREY in card and not [edge for edge in claims.EDGES.values() if edge in card]
