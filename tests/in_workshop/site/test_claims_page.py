"""The ledger of claims: every verdict, as the records decide it, in a sign, a word and a colour."""

import html
import re
from functools import cache

from lora_lessons.course import claims, published
from lora_lessons.course.claims import CORRECTED, HOLDS, VERDICTS
from lora_lessons.course.lesson import place_of
from lora_lessons.course.records import MIME, records_of
from lora_lessons.lessons import all_claims
from lora_lessons.run.result import cards
from workshop.site import claims_page
from workshop.site.build import stored

EVERY = sorted(all_claims(), key=lambda one: (one.id, one.lesson))


page = cache(claims_page.page)


def rows(page):
    return [re.findall(r"<td[^>]*><div>(.*?)</div></td>", row) for row in re.findall(r"<tr.*?</tr>", page)[1:]]


def judged(page):
    """What each lesson found, in the order of EVERY."""
    return [one for row in rows(page) for one in re.findall(r'<div class="judged">(.*?)</div>', row[1])]


def test_every_claim_has_one_row_with_what_each_lesson_measured():
    ids = [re.search(r"<b>(\w+)</b>", says)[1] for says, _, _ in rows(page())]
    assert ids == sorted({one.id for one in EVERY}, key=ids.index) and len(set(ids)) == len(ids)
    for one, found in zip(EVERY, judged(page()), strict=True):
        assert claims_page.verdict(one.written_for) in found
        assert f'href="lessons/{place_of(one.lesson)}.html#' in found
    for says, found, _ in rows(page()):
        for one in EVERY:
            if f"<b>{one.id}</b>" in says:
                assert html.escape(one.says) in says or html.escape(one.says) in found, "also a part of the claim"


def test_a_verdict_leads_to_the_cells_that_recorded_what_it_says():
    """And not to its card, which says the same again; only a verdict that rests on no record has no cell."""
    notebooks = stored()
    for one, found in zip(EVERY, judged(page()), strict=True):
        recorded = {
            record["name"]: f"cell-{cell.id}"
            for cell in notebooks[place_of(one.lesson)].cells
            for output in cell.get("outputs", ())
            for record in output.get("data", {}).get(MIME, ())
        }
        led_to = re.findall(r'href="lessons/[^"#]*#([^"]*)"', found)
        known = {name: found.value for name, found in records_of(notebooks[place_of(one.lesson)]).items()}
        rests_on = {recorded[name] for name in one.rests_on(known)}
        assert led_to and set(led_to) <= (rests_on or {f"claim-{one.id}"})
        sections = re.findall(r">([^<]*)</a>", found)
        assert len(set(sections)) == len(sections) and not any(one.startswith("Exercise") for one in sections)


def test_the_page_says_what_the_lessons_cards_say():
    """Both are of the run whose outputs the lesson shows, and not of another machine's."""
    shown = {(place.rpartition("/")[2], one.id): one for place, nb in stored().items() for one in cards(nb)}
    for one, found in zip(EVERY, judged(page()), strict=True):
        card = shown[one.lesson, one.id]
        finding, _, folded = found.rpartition("</span>")[2].partition("<details><summary>")
        why = re.sub(r"<(?:a|small) .*", "", folded.partition("</summary>")[2])
        sentence = html.unescape(f"{finding.strip()} {why.strip()}".strip())
        assert card.sentence == sentence, "whole: its end is often the reason for the verdict"
        assert claims_page.verdict(card.said) in found and html.escape(one.elsewhere().words) in found


def test_a_verdict_is_never_told_by_its_colour_alone():
    signs = {
        re.search(r'aria-hidden="true">(.)<', claims_page.verdict(one))[1] for one in (*VERDICTS, claims.DISAGREES)
    }
    kinds = {re.search(r'class="verdict (\w+)"', claims_page.verdict(one))[1] for one in (*VERDICTS, claims.DISAGREES)}
    assert len(signs) == len(kinds) == 5
    assert all(one in claims_page.verdict(one) for one in VERDICTS)


def test_the_verdicts_are_counted():
    counted = re.search(r'<p class="verdicts">.*?</p>', page())[0]
    assert f"{len(EVERY)} verdicts" in counted
    for verdict in VERDICTS:
        number = sum(one.written_for == verdict for one in EVERY)
        assert f"<span>{number} {claims_page.verdict(verdict)}" in counted


def test_records_that_say_otherwise_show(monkeypatch):
    """The page follows what is recorded, not what its author expected."""
    one = next(one for one in EVERY if one.written_for == HOLDS)
    monkeypatch.setattr(claims, "CLAIMS", [])
    monkeypatch.setattr(claims_page, "CLAIMS", [one._replace(rules=[(CORRECTED, "True")])])
    ((_, said, _),) = rows(claims_page.page())
    assert claims.DISAGREES in said and "Trust your measurement" in said
    monkeypatch.setattr(claims_page, "CLAIMS", [one._replace(sentence="It is {no.such}.")])
    ((_, said, _),) = rows(claims_page.page())
    assert claims.OPEN in said and "no.such" in said


def test_published_figures_stand_beside_the_claim_that_they_bear_on():
    known = {f"{one.lesson} {one.id}" for one in EVERY}
    named = {card: about for about in published.groups().values() for card in about.get("cards", ())}
    assert named and named.keys() <= known
    shown = {re.search(r"<b>(\w+)</b>", says)[1]: cell for says, _, cell in rows(page())}
    for id, cell in shown.items():
        sources = [group["source"] for card, group in named.items() if card.endswith(f" {id}")]
        assert [one for one in sources if html.escape(one) not in cell] == []
        assert ('class="none"' in cell) == (not sources), id
    assert 'int4 <a href="numbers/published.html#qlora.table_2.int4">34.34</a>' in shown["G14"]
    assert 'MMLU: bf16 <a href="numbers/published.html#qlora.table_4.bf16">53.0</a>' in shown["G16"]
    assert not re.search(r"_|\{", "".join(re.sub(r"<[^>]+>", "", cell) for cell in shown.values())), "words, no keys"
