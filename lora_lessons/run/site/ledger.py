"""The ledger: every claim of the glossary page, its verdict, what was measured here and what others published."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ...course import published
from ...course.claims import CLAIMS, CONDITION, CORRECTED, HOLDS, NOT_TESTED, Card, Claim, card
from ...course.published import as_printed
from ..baselines import read_baseline, values
from .tables import link, table
from .where import PUBLISHED, anchor_of, place_of

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
    """The claims as MyST: a count of the verdicts, and a row for each verdict card of a lesson."""
    every = sorted(CLAIMS, key=lambda one: (one.id, one.lesson))
    cards = [(one, card(one, _measured(one.lesson))) for one in every]
    rows = [
        (
            f"<b>{one.id}</b> {html.escape(shown.says)}",
            verdict(shown.said),
            f"{html.escape(_short(one, shown))} {_card(one)}",
            _others(one),
        )
        for one, shown in cards
    ]
    head = ("the page says", "verdict", "measured here", "published")
    return "\n\n".join([_ABOUT, _counted(shown.said for _, shown in cards), table(head, rows, kind="ledger")])


def claim_anchor(id: str) -> str:
    """The name of a verdict card's place on its lesson's page."""
    return f"claim-{id}"


def verdict(said: str) -> str:
    """A verdict as HTML: a sign, its word, and a class that gives it its colour."""
    sign, kind = _SIGNS.get(said, _OTHER)
    return f'<span class="verdict {kind}"><span aria-hidden="true">{sign}</span> {html.escape(said)}</span>'


def _measured(lesson: str) -> Mapping[str, Any]:
    return values(read_baseline(lesson) or {"records": {}})


def _counted(said: Iterable[str]) -> str:
    count = Counter(said)
    known = sorted(count, key=lambda one: list(_SIGNS).index(one) if one in _SIGNS else len(_SIGNS))
    kinds = "".join(f"<span>{count[one]} {verdict(one)}</span>" for one in known)
    return f'<p class="verdicts"><span>{count.total()} verdicts:</span>{kinds}</p>'


def _short(one: Claim, shown: Card) -> str:
    """The card's sentences up to the first that holds a measured value; all of them where it disagrees."""
    if shown.said != one.written_for:
        return shown.sentence
    told: list[str] = []
    for part in re.split(r"(?<=[.!?]) (?=[A-Z])", one.sentence):
        told.append(part)
        if "{" in part:
            break
    return one._replace(sentence=" ".join(told)).filled(_measured(one.lesson))


def _others(one: Claim) -> str:
    """What others published on the same thing, by source."""
    told = []
    for group, about in published.groups().items():
        if f"{one.lesson} {one.id}" in about.get("cards", ()):
            figures = published.column(group).items()
            shown = (
                _figure(f"{group}.{name}", f"{name.replace('_', ' ')} {as_printed(value)}") for name, value in figures
            )
            told.append(f"{', '.join(shown)} ({html.escape(about['source'])})")
    return "<br>".join(told) or "—"


def _figure(row: str, words: str) -> str:
    return link(f"{PUBLISHED}.html#{anchor_of(row)}", html.escape(words))


def _card(one: Claim) -> str:
    """The way to the verdict card, under the cells that measured its numbers."""
    place = place_of(one.lesson)
    words = f"The whole answer, in {'a side trip of ' if '/' in place else ''}lesson {one.lesson[:2]}"
    return link(f"lessons/{place}.html#{claim_anchor(one.id)}", words)
