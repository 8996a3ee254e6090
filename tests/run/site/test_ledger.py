"""The ledger of claims: every verdict, as the records decide it, in a sign, a word and a colour."""

import re

from lora_lessons.course import claims, published
from lora_lessons.course.claims import CORRECTED, HOLDS, VERDICTS
from lora_lessons.lessons import all_claims
from lora_lessons.run.baselines import read_baseline, values
from lora_lessons.run.site import ledger
from lora_lessons.run.site.where import place_of

EVERY = sorted(all_claims(), key=lambda one: (one.id, one.lesson))


def rows(page):
    return [re.findall(r"<td[^>]*><div>(.*?)</div></td>", row) for row in re.findall(r"<tr.*?</tr>", page)[1:]]


def test_every_claim_has_a_row_with_what_was_measured_and_a_way_to_its_card():
    for one, (says, said, measured, _) in zip(EVERY, rows(ledger.page()), strict=True):
        assert f"<b>{one.id}</b>" in says and f"</span> {one.written_for}</span>" in said
        assert f'href="lessons/{place_of(one.lesson)}.html#claim-{one.id}"' in measured
        sentence = re.sub(r"<[^>]+>.*", "", measured).strip()
        whole = one.filled(values(read_baseline(one.lesson)))
        assert whole.startswith(sentence.replace("&#x27;", "'").replace("&lt;", "<")), one.id
        assert re.search(r"\d|yes|no", sentence) and len(sentence) <= 520, "what was measured, and not much more"


def test_a_verdict_is_never_told_by_its_colour_alone():
    signs = {re.search(r'aria-hidden="true">(.)<', ledger.verdict(one))[1] for one in (*VERDICTS, claims.DISAGREES)}
    kinds = {re.search(r'class="verdict (\w+)"', ledger.verdict(one))[1] for one in (*VERDICTS, claims.DISAGREES)}
    assert len(signs) == len(kinds) == 5
    assert all(one in ledger.verdict(one) for one in VERDICTS)


def test_the_verdicts_are_counted():
    counted = re.search(r'<p class="verdicts">.*?</p>', ledger.page())[0]
    assert f"{len(EVERY)} verdicts" in counted
    for verdict in VERDICTS:
        number = sum(one.written_for == verdict for one in EVERY)
        assert f"<span>{number} {ledger.verdict(verdict)}" in counted


def test_records_that_say_otherwise_show(monkeypatch):
    """The page follows what is recorded, not what its author expected."""
    one = next(one for one in EVERY if one.written_for == HOLDS)
    monkeypatch.setattr(claims, "CLAIMS", [])
    monkeypatch.setattr(ledger, "CLAIMS", [one._replace(decides=lambda measured: CORRECTED)])
    ((_, said, measured, _),) = rows(ledger.page())
    assert claims.DISAGREES in said and "Trust your measurement" in measured
    monkeypatch.setattr(ledger, "CLAIMS", [one._replace(records=("no.such",))])
    ((_, said, measured, _),) = rows(ledger.page())
    assert claims.OPEN in said and "no.such" in measured


def test_published_figures_stand_beside_the_claim_that_they_bear_on():
    known = {f"{one.lesson} {one.id}" for one in EVERY}
    named = {card: group for group, about in published.groups().items() for card in about.get("cards", ())}
    assert named and named.keys() <= known
    shown = {f"{one.lesson} {one.id}": row[3] for one, row in zip(EVERY, rows(ledger.page()), strict=True)}
    for card, cell in shown.items():
        assert (cell == "—") == (card not in named), card
    assert "int4 34.34" in shown["06_quantization G14"] and "Dettmers et al. 2023" in shown["06_quantization G14"]
    assert 'href="numbers/published.html#litgpt.bf16">bf16 0.870<' in shown["07_qlora G16"]
