"""Every claim of the glossary page, its verdict, what was measured here and what others published, on one page."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from lora_lessons.course import published
from lora_lessons.course.claims import CLAIMS, CONDITION, CORRECTED, HOLDS, NOT_TESTED, Card, Claim, card, tally
from lora_lessons.course.lesson import notebook_of, place_of
from lora_lessons.course.published import as_printed
from lora_lessons.course.records import records_of
from lora_lessons.drawing import figure_html
from lora_lessons.experiments import recordings, sizes
from lora_tools import papers
from workshop.record.sizes.picture import small_multiples

from .finishing import as_table, link_to, one_line
from .number_pages import PUBLISHED, anchor_of, measured_in

if TYPE_CHECKING:
    from nbformat import NotebookNode

Cells = Mapping[str, tuple[str, str]]  # of each record, the heading and the anchor of the cell that recorded it

# Of each verdict: the sign beside its word, and its class in the style sheet.
_SIGNS = {
    HOLDS: ("✓", "holds"),
    CONDITION: ("◐", "condition"),
    CORRECTED: ("✎", "corrected"),
    NOT_TESTED: ("○", "untested"),
}
# Those of the papers, in the same order; then what a run cannot tell, and what is not recorded yet.
_SIGNS |= dict(zip(papers.VERDICTS, [*_SIGNS.values(), ("?", "untested"), ("…", "untested")], strict=True))
_OTHER = ("!", "open")  # what the records do not bear out

_ABOUT = """# What the glossary page claims, and what we measured

Many people meet LoRA through pages like this one, and a sentence that is nearly right costs a training run that
nobody can explain. The CraftRigs glossary page on LoRA makes the claims below. A verdict is worked out from what the
lessons recorded, so that it changes when they measure something else: a claim *holds*, or it *holds with a condition*
that the page leaves out, or it is *corrected*, because what we measured says otherwise. *Not tested* means that the
claim needs something that we did not have, such as a graphics card. Several lessons may judge one claim, each from
its own side."""


def page() -> str:
    """The claims as MyST: a count of the verdicts, and a row for each claim, with the verdicts of all its lessons."""
    every = sorted(CLAIMS, key=lambda one: (one.id, one.lesson))
    read = {lesson: _read(lesson) for lesson in {one.lesson for one in every}}
    recorded = {
        lesson: {name: one.value for name, one in records_of(notebook).items()} for lesson, notebook in read.items()
    }
    cells = {lesson: measured_in(notebook) for lesson, notebook in read.items()}
    cards = [(one, card(one, recorded[one.lesson])) for one in every]
    rows = []
    for id, pairs in groupby(cards, key=lambda pair: pair[0].id):
        judged = list(pairs)
        says = judged[0][0].says
        rows.append(
            (
                f"<b>{id}</b> {html.escape(says)}",
                "".join(_judged(one, shown, says, recorded[one.lesson], cells[one.lesson]) for one, shown in judged),
                "<br>".join(told for one, _ in judged for told in _others(one)) or '<span class="none">—</span>',
            )
        )
    head = ("the page says", "verdict, and what we measured", "published")
    verdicts = counted(shown.said for _, shown in cards)
    return "\n\n".join([_ABOUT, verdicts, as_table(head, rows, kind="ledger"), _at_other_sizes()])


def _at_other_sizes() -> str:
    """What may be the small base's own, at each size of base, drawn."""
    record = recordings.recorded(sizes.NAME)
    figure, words = small_multiples(record)
    return f"## On larger bases\n\n{one_line(figure_html(figure, words, dpi=150, note=recordings.when(record)))}"


def claim_anchor(id: str) -> str:
    """The name of a verdict card's place on its lesson's page."""
    return f"claim-{id}"


def verdict(said: str) -> str:
    """A verdict as HTML: a sign, its word, and a class that gives it its colour."""
    sign, kind = _SIGNS.get(said, _OTHER)
    return f'<span class="verdict {kind}"><span aria-hidden="true">{sign}</span> {html.escape(said)}</span>'


def _read(lesson: str) -> NotebookNode:
    """The lesson with the outputs that it shows, so that this page says what its cards say."""
    import nbformat

    return nbformat.read(notebook_of(lesson), as_version=4)


def _judged(one: Claim, shown: Card, says: str, recorded: Mapping[str, Any], cells: Cells) -> str:
    """A lesson's verdict and its first sentence, the rest folded;
    and what it judges where that is only a part of what the claim `says`."""
    part = "" if one.says == says else f"<i>“{html.escape(one.says)}”</i> "
    elsewhere = f'<small class="ways">{html.escape(one.elsewhere().words)}</small>' if shown.at_sizes else ""
    finding, _, why = html.escape(shown.sentence).replace("\n", " ").partition(". ")
    folded = f"{why} {elsewhere}{_ways(one, recorded, cells)}"
    return (
        f'<div class="judged">{part}{verdict(shown.said)} {finding}{"." if why else ""}'
        f"<details><summary>Why, and where it was measured</summary>{folded}</details></div>"
    )


def counted(verdicts: Iterable[str]) -> str:
    """The verdicts as one bar, and how many there are of each."""
    counts = tally(verdicts)
    kinds = "".join(f"<span>{count} {verdict(one)}</span>" for count, one in counts)
    bar = "".join(
        f'<span class="{_SIGNS.get(one, _OTHER)[1]}" style="flex-grow: {count}"></span>' for count, one in counts
    )
    total = sum(count for count, _ in counts)
    return (
        f'<div class="verdict-bar" aria-hidden="true">{bar}</div>\n<p class="verdicts"><span>{total} '
        f"verdicts:</span>{kinds}</p>"
    )


def _others(one: Claim) -> Iterator[str]:
    """What others published on the same thing, in words, each with its source."""
    for group, about in published.groups().items():
        if f"{one.lesson} {one.id}" in about.get("cards", ()):
            # words and names of figures take turns
            parts = re.split(r"\{(.+?)\}", about["words"])
            told = "".join(_figure(f"{group}.{part}") if n % 2 else html.escape(part) for n, part in enumerate(parts))
            yield f"{told} ({html.escape(about['source'])})"


def _figure(row: str) -> str:
    return link_to(f"{PUBLISHED}.html#{anchor_of(row)}", as_printed(published.figure(row)))


def _ways(one: Claim, recorded: Mapping[str, Any], cells: Cells) -> str:
    """The way to the first cell of each section that recorded what the verdict rests on; where none did,
    to its card."""
    place = place_of(one.lesson)
    page, lesson = f"lessons/{place}.html", f"{'a side trip of ' if '/' in place else ''}lesson {one.lesson[:2]}"
    sections: dict[str, str] = {}
    for name in one.rests_on(recorded):
        if name in cells:
            sections.setdefault(*cells[name])
    if not sections:
        return link_to(f"{page}#{claim_anchor(one.id)}", f"What {lesson} says of it")
    ways = [link_to(f"{page}#{anchor}", html.escape(heading)) for heading, anchor in sections.items()]
    return f'<small class="ways">Measured in {lesson}: {"; ".join(ways)}</small>'
