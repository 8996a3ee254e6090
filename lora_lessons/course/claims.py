"""Claims of the glossary page: a lesson's records decide each, and a card shows the verdict."""

from __future__ import annotations

import ast
import operator
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, NamedTuple

from ..drawing import GREEN, GREY, ORANGE, VERMILION
from ..outside import in_html, read_back
from ..paths import course_root
from .prose import without_sources
from .records import Value, session_records, show_value

HOLDS, CONDITION, CORRECTED = "holds", "holds with a condition", "corrected"
NOT_TESTED = "not tested"  # what a claim needs was not here, such as a card or a tool; the sentence says what
VERDICTS = (HOLDS, CONDITION, CORRECTED, NOT_TESTED)

EDGES = {HOLDS: GREEN, CONDITION: ORANGE, CORRECTED: VERMILION}  # a card's left edge, by its verdict
DISAGREES, OPEN = "not what we saw here", "open"  # what a card says where the records do not bear the verdict out


# what a card says of larger bases: their numbers are a table of that page
ELSEWHERE = "At other sizes of base: docs/evidence.md."

# {record.name} or {record.name:format} in a sentence
_FIELD = re.compile(r"\{(?P<name>[\w.]+)(?::(?P<format>[^}]+))?\}")


def tally(said: Iterable[str]) -> list[tuple[int, str]]:
    """How many cards say each verdict, in the order of VERDICTS; whatever else a card says comes last."""
    count = Counter(said)
    known = sorted(count, key=lambda one: VERDICTS.index(one) if one in VERDICTS else len(VERDICTS))
    return [(count[one], one) for one in known]


class AtSizes(NamedTuple):
    """At which sizes of base a finding was seen: in words, and whether at one of them it was not."""

    words: str
    denied: bool


class Claim(NamedTuple):
    """One claim of the glossary page and what a lesson's records say of it.

    The first of `rules` (verdict, comparison of records) that is true says what follows from them, one of VERDICTS;
    where none is, nothing does. `sentence` is right for one verdict only, `written_for`; it may use {record.name}
    fields, filled with the values measured; one that is yes or no has words for both: {record.name:is|is not}. A claim
    that is NOT_TESTED may rest on no record at all. A finding that may be the small base's own is asked of larger ones,
    too: `at_sizes`.
    """

    id: str
    lesson: str  # the notebook's stem, e.g. 01_low_rank
    says: str
    written_for: str  # the verdict that the sentence explains
    sentence: str
    rules: Sequence[tuple[str, str]]
    at_sizes: Callable[[], AtSizes] | None = None

    def judge(self, values: Mapping[str, Value]) -> str | None:
        """The verdict that follows from these values; None where none does.

        What is not so at another size of base neither holds nor is corrected: it holds with a condition.

        Raises KeyError naming a record that is missing.
        """
        missing = [name for name in self._in_sentence() if name not in values]
        try:
            judged = self.decides(values)
        except KeyError as error:
            missing += [name for name in map(str, error.args) if name not in missing]
        if missing:
            raise KeyError(f"{self.id} in {self.lesson} rests on {', '.join(missing)}, which has not been recorded.")
        return CONDITION if judged in (HOLDS, CORRECTED) and self.elsewhere().denied else judged

    def decides(self, values: Mapping[str, Any]) -> str | None:
        """What these values make of the rules, whatever other sizes of base say."""
        return next((verdict for verdict, comparison in self.rules if follows(comparison, values)), None)

    def elsewhere(self) -> AtSizes:
        """At which sizes of base this was seen; no words where it was not asked."""
        return self.at_sizes() if self.at_sizes else AtSizes("", denied=False)

    def rests_on(self, values: Mapping[str, Value]) -> list[str]:
        """The records that stand in the sentence, and then those that the verdict was decided by."""
        read = _Read(values)
        with suppress(KeyError):  # one that is missing was asked for, too
            self.decides(read)
        return list(dict.fromkeys([*self._in_sentence(), *read.names]))

    def _in_sentence(self) -> list[str]:
        return [field["name"] for field in _FIELD.finditer(without_sources(self.sentence))]

    def filled(self, values: Mapping[str, Value]) -> str:
        """The sentence as it is read: its {record.name} or {record.name:format} fields replaced by measured values."""

        def fill(field: re.Match[str]) -> str:
            value, shape = values[field["name"]], field["format"]
            if isinstance(value, bool) and shape:
                yes, _, no = shape.partition("|")
                return yes if value else no
            return format(value, shape) if shape else show_value(value)

        return _FIELD.sub(fill, without_sources(self.sentence))


class _Read(dict[str, Any]):
    """Values that remember which of them were read."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.names: list[str] = []

    def __getitem__(self, name: str) -> Any:
        self.names.append(name)
        return super().__getitem__(name)


_OPERATIONS: dict[type, Callable[..., Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Not: operator.not_,
    ast.USub: operator.neg,
}


def follows(comparison: str, values: Mapping[str, Any]) -> Any:
    """What a comparison of records comes to: "cost.nf4 < 0.1 and not left.none"; names have dots, odd ends quotes, as
    in copy_gb["qwen2.5"].

    Raises KeyError naming a record that is missing, ValueError for what is no comparison.
    """

    def worth(node: Any) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name() | ast.Attribute() | ast.Subscript():
                return values[re.sub(r"\[['\"](.+)['\"]\]", r".\1", ast.unparse(node))]
            case ast.BoolOp(op=ast.And(), values=parts):
                return all(worth(part) for part in parts)
            case ast.BoolOp(values=parts):
                return any(worth(part) for part in parts)
            case ast.Compare(left=first, ops=ops, comparators=others):
                sides = [worth(side) for side in (first, *others)]
                return all(_OPERATIONS[type(op)](*pair) for op, pair in zip(ops, pairwise(sides), strict=True))
            case ast.UnaryOp(op=op, operand=one):
                return _OPERATIONS[type(op)](worth(one))
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATIONS[type(op)](worth(left), worth(right))
            case ast.Call(func=ast.Name(id="abs"), args=[one]):
                return abs(worth(one))
        raise ValueError(f"{ast.unparse(node)} is no comparison of records.")

    return worth(ast.parse(comparison, mode="eval").body)


CLAIMS: list[Claim] = []  # lora_lessons.lessons fills it, which knows the other sizes of base


def rows() -> list[dict[str, Any]]:
    """The rows of data/claims.toml. Raises ValueError when it is damaged, FileNotFoundError where it is missing."""
    file = course_root() / "data" / "claims.toml"
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))["claim"]
    except (ValueError, KeyError) as error:
        raise ValueError(f"data/{file.name} is not a table of claims ({error}): restore it from git.") from error


def verdict(id: str, lesson: str) -> None:
    """Show the verdict card of claim `id` as this lesson's measurements decide it."""
    from IPython.display import HTML, display

    one = next((c for c in CLAIMS if (c.id, c.lesson) == (id, lesson)), None)
    if one is None:
        raise KeyError(f"no claim {id} belongs to {lesson}.")
    values = {name: r.value for name, r in session_records().items()}
    display(HTML(card(one, values).html()))


class Card(NamedTuple):
    """What a verdict card shows: the claim, the verdict in words, the sentence with the values measured, and where
    other sizes of base stand."""

    id: str
    says: str
    said: str  # a verdict, DISAGREES or OPEN
    sentence: str
    at_sizes: str = ""  # ELSEWHERE where larger bases were asked

    def html(self) -> str:
        unfolded = " open" * (self.said in (DISAGREES, OPEN))
        return (
            f"<div style='border:1px solid #ccd;border-left:6px solid {EDGES.get(self.said, GREY)};"  # grey: no verdict
            "padding:.4em .9em;margin:.3em 0'>"
            f"<b>{self.id}</b> The page says: <i>{in_html(self.says)}</i>"
            f"<details{unfolded}><summary><b>Verdict: {in_html(self.said)}.</b> What we saw</summary>"
            f"{in_html(self.sentence)}"
            f"{f'<br><small>{in_html(self.at_sizes)}</small>' if self.at_sizes else ''}</details></div>"
        )


def card(one: Claim, values: Mapping[str, Value]) -> Card:
    """The card of claim `one` on these values: its sentence stands alone only under the verdict that it explains."""
    sizes = ELSEWHERE if one.elsewhere().words else ""
    try:
        judged, sentence = one.judge(values), one.filled(values)
    except KeyError as error:
        sentence = f"This verdict is still open. {error.args[0]} Run the cells above first."
        return Card(one.id, one.says, OPEN, sentence)
    if judged == one.written_for:
        return Card(one.id, one.says, one.written_for, sentence, sizes)
    otherwise = f"says “{judged}”" if judged else "says otherwise"
    sentence = (
        f"The course expected “{one.written_for}”, but what you measured here {otherwise}. Trust your measurement, "
        f"and find out why. {sentence}"
    )
    return Card(one.id, one.says, DISAGREES, sentence, sizes)


_CARD = re.compile(
    r"<b>(?P<id>[^<]+)</b> The page says: <i>(?P<says>.*?)</i><details(?: open)?><summary><b>Verdict: "
    r"(?P<said>[^<]*)\.</b> "
    r"What we saw</summary>(?P<sentence>.*?)"
    r"(?:<br><small>(?P<at_sizes>.*?)</small>)?</details></div>",
    re.S,
)


def read_card(shown: str) -> Card | None:
    """The card that a cell has shown as HTML; None where it is none."""
    match = _CARD.search(shown)
    return Card(**{name: read_back(part) for name, part in match.groupdict("").items()}) if match else None
