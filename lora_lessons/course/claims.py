"""Claims of the glossary page: a lesson's records decide each, and a card shows the verdict."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .figures import GREEN, GREY, ORANGE, VERMILION
from .records import Value, session_records, show_value

HOLDS, CONDITION, CORRECTED = "holds", "holds with a condition", "corrected"
NOT_TESTED = "not tested"  # what a claim needs was not here, such as a card or a tool; the sentence says what

EDGES = {HOLDS: GREEN, CONDITION: ORANGE, CORRECTED: VERMILION}  # a card's left edge, by its verdict
DISAGREES, OPEN = "not what we saw here", "open"  # what a card says where the records do not bear the verdict out


class Claim(NamedTuple):
    """One claim of the glossary page and what a lesson's records say of it.

    `decides` gets the records by name and returns whether the verdict's condition holds. `sentence` may use
    {record.name} fields, filled with the values measured. A claim that is NOT_TESTED may rest on no record at all.
    """

    id: str
    lesson: str  # the notebook's stem, e.g. 01_low_rank
    says: str
    verdict: str  # HOLDS, CONDITION, CORRECTED or NOT_TESTED
    sentence: str
    records: tuple[str, ...]
    decides: Callable[[Mapping[str, Any]], bool]

    def judge(self, values: Mapping[str, Value]) -> bool:
        """Whether the verdict stands on these values. Raises KeyError naming a record that is missing."""
        missing = [name for name in self.records if name not in values]
        if missing:
            raise KeyError(f"{self.id} in {self.lesson} rests on {', '.join(missing)}, which has not been recorded.")
        return bool(self.decides(values))

    def filled(self, values: Mapping[str, Value]) -> str:
        """The sentence with its {record.name} or {record.name:format} fields replaced by measured values."""

        def fill(field: re.Match[str]) -> str:
            value = values[field["name"]]
            return format(value, field["format"]) if field["format"] else show_value(value)

        return re.sub(r"\{(?P<name>[\w.]+)(?::(?P<format>[^}]+))?\}", fill, self.sentence)


CLAIMS: list[Claim] = []


def claim(
    id: str, lesson: str, *, says: str, verdict: str, sentence: str, records: tuple[str, ...]
) -> Callable[..., Any]:
    """Register a claim; the decorated function decides it from the records' values."""

    def register(decides: Callable[[Mapping[str, Any]], bool]) -> Callable[[Mapping[str, Any]], bool]:
        CLAIMS.append(Claim(id, lesson, says, verdict, sentence, records, decides))
        return decides

    return register


def verdict(id: str, lesson: str) -> None:
    """Show the verdict card of claim `id` as this lesson's measurements decide it."""
    from IPython.display import HTML, display

    one = next((c for c in CLAIMS if (c.id, c.lesson) == (id, lesson)), None)
    if one is None:
        raise KeyError(f"no claim {id} belongs to {lesson}.")
    values = {name: r.value for name, r in session_records().items()}
    try:
        stands, sentence = one.judge(values), one.filled(values)
    except KeyError as error:
        stands, sentence = None, f"This verdict is still open. {error.args[0]} Run the cells above first."
    said = {True: one.verdict, False: DISAGREES, None: OPEN}[stands]
    if stands is False:
        sentence = (
            f"The course expected “{one.verdict}”, but what you measured here says otherwise. Trust your measurement, "
            f"and find out why. {sentence}"
        )
    display(HTML(Card(one.id, one.says, said, sentence).html()))


class Card(NamedTuple):
    """What a verdict card shows: the claim, the verdict in words, and the sentence with the values measured."""

    id: str
    says: str
    said: str  # a verdict, DISAGREES or OPEN
    sentence: str

    def html(self) -> str:
        edge = EDGES.get(self.said, GREY)  # not tested, or not decided
        return (
            f"<div style='border:1px solid #ccd;border-left:6px solid {edge};padding:.4em .9em;margin:.3em 0'>"
            f"<b>{self.id}</b> The page says: <i>{html.escape(self.says)}</i><br>"
            f"<b>Verdict: {self.said}.</b> {html.escape(self.sentence)}</div>"
        )


_CARD = re.compile(
    r"<b>(?P<id>[^<]+)</b> The page says: <i>(?P<says>.*?)</i><br><b>Verdict: (?P<said>[^<]*)\.</b> (?P<sentence>.*?)</div>",
    re.S,
)


def read_card(shown: str) -> Card | None:
    """The card that a cell has shown as HTML; None where it is none."""
    found = _CARD.search(shown)
    return Card(*(html.unescape(part) for part in found.groups())) if found else None
