"""The ledger: every claim of the glossary page, its verdict, what was measured here and what others published."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby

from ...course import published
from ...course.claims import CLAIMS, CONDITION, CORRECTED, HOLDS, NOT_TESTED, Card, Claim, card
from ...course.lesson import notebook_of, place_of
from ...course.published import as_printed
from ...course.records import Value, records_of
from .tables import link, table
from .where import PUBLISHED, anchor_of

# Of each verdict: the sign beside its word, and its class in the style sheet.
_SIGNS = {
    HOLDS: ("✓", "holds"),
    CONDITION: ("◐", "condition"),
    CORRECTED: ("✎", "corrected"),
    NOT_TESTED: ("○", "untested"),
}
_OTHER = ("!", "open")  # what the records do not bear out

_ABOUT = """# What the glossary page claims, and what we measured

The CraftRigs glossary page on LoRA makes these claims. A verdict is worked out from what the lessons recorded, so that it changes when they measure
something else: a claim *holds*, or it *holds with a condition* that the page leaves out, or it is *corrected*, because what we measured says otherwise.
*Not tested* means that the claim needs something that we did not have, such as a graphics card. Several lessons may judge one claim, each from its own side."""


def page() -> str:
    """The claims as MyST: a count of the verdicts, and a row for each claim, with the verdicts of all its lessons."""
    every = sorted(CLAIMS, key=lambda one: (one.id, one.lesson))
    recorded = {lesson: _recorded(lesson) for lesson in {one.lesson for one in every}}
    cards = [(one, card(one, recorded[one.lesson])) for one in every]
    rows = []
    for id, found in groupby(cards, key=lambda pair: pair[0].id):
        judged = list(found)
        says = judged[0][0].says
        rows.append(
            (
                f"<b>{id}</b> {html.escape(says)}",
                "".join(_judged(one, shown, says) for one, shown in judged),
                "<br>".join(told for one, _ in judged for told in _others(one)) or '<span class="none">—</span>',
            )
        )
    head = ("the page says", "verdict, and what we measured", "published")
    return "\n\n".join([_ABOUT, _counted(shown.said for _, shown in cards), table(head, rows, kind="ledger")])


def claim_anchor(id: str) -> str:
    """The name of a verdict card's place on its lesson's page."""
    return f"claim-{id}"


def verdict(said: str) -> str:
    """A verdict as HTML: a sign, its word, and a class that gives it its colour."""
    sign, kind = _SIGNS.get(said, _OTHER)
    return f'<span class="verdict {kind}"><span aria-hidden="true">{sign}</span> {html.escape(said)}</span>'


def _recorded(lesson: str) -> dict[str, Value]:
    """What the lesson measured in the run whose outputs it shows, so that this page says what its cards say."""
    import nbformat

    return {name: one.value for name, one in records_of(nbformat.read(notebook_of(lesson), as_version=4)).items()}


def _judged(one: Claim, shown: Card, says: str) -> str:
    """A lesson's verdict, and what it judges where that is only a part of what the claim `says`."""
    part = "" if one.says == says else f"<i>“{html.escape(one.says)}”</i> "
    return f'<div class="judged">{part}{verdict(shown.said)} {html.escape(shown.sentence)} {_card(one)}</div>'


def _counted(said: Iterable[str]) -> str:
    count = Counter(said)
    known = sorted(count, key=lambda one: list(_SIGNS).index(one) if one in _SIGNS else len(_SIGNS))
    kinds = "".join(f"<span>{count[one]} {verdict(one)}</span>" for one in known)
    return f'<p class="verdicts"><span>{count.total()} verdicts:</span>{kinds}</p>'


def _others(one: Claim) -> Iterator[str]:
    """What others published on the same thing, in words, each with its source."""
    for group, about in published.groups().items():
        if f"{one.lesson} {one.id}" in about.get("cards", ()):
            # words and names of figures take turns
            parts = re.split(r"\{(.+?)\}", about["words"])
            told = "".join(_figure(f"{group}.{part}") if n % 2 else html.escape(part) for n, part in enumerate(parts))
            yield f"{told} ({html.escape(about['source'])})"


def _figure(row: str) -> str:
    return link(f"{PUBLISHED}.html#{anchor_of(row)}", as_printed(published.figure(row)))


def _card(one: Claim) -> str:
    """The way to the verdict card, under the cells that measured its numbers."""
    place = place_of(one.lesson)
    words = f"How {'a side trip of ' if '/' in place else ''}lesson {one.lesson[:2]} measured it"
    return link(f"lessons/{place}.html#{claim_anchor(one.id)}", words)
