"""Claims of the glossary page, judged by what was measured; numbers in prose, bound to records.

In a lesson's prose a measured number carries its record's name in a comment that readers do not see:
`8.4<!--record perplexity.full-->`; a number from the literature says whose it is: `28.1<!--published SVD-LLM-->`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from .records import Value, session_records, show_value

HOLDS, CONDITION, CORRECTED = "holds", "holds with a condition", "corrected"


class Claim(NamedTuple):
    """One claim of the glossary page and what a lesson's records say of it.

    `decides` gets the records by name and returns whether the verdict's condition holds. `sentence` may use
    {record.name} fields, filled with the values measured.
    """

    id: str
    lesson: str  # the notebook's stem, e.g. 01_low_rank
    says: str
    verdict: str  # HOLDS, CONDITION or CORRECTED
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


def claim(id: str, lesson: str, says: str, verdict: str, sentence: str, *records: str) -> Callable[..., Any]:
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
        stands, sentence = None, f"Not decided yet: {error.args[0]} Run the cells above first."
    said = {True: one.verdict, False: "not what we saw here", None: "open"}[stands]
    if stands is False:
        sentence = (
            f"The course expected “{one.verdict}”, and your measurements disagree. Trust them, and look why. {sentence}"
        )
    edge = {HOLDS: "#009E73", CONDITION: "#E69F00", CORRECTED: "#D55E00"}.get(said, "#5f6368")
    card = (
        f"<div style='border:1px solid #ccd;border-left:6px solid {edge};padding:.4em .9em;margin:.3em 0'>"
        f"<b>{one.id}</b> The page says: <i>{html.escape(one.says)}</i><br>"
        f"<b>Verdict: {said}.</b> {html.escape(sentence)}</div>"
    )
    display(HTML(card))


# ---- numbers in prose ----

_BOUND = re.compile(
    r"(?P<number>-?\d[\d,]*(?:\.\d+)?)(?P<unit>[  ]?(?:%|×|‰)?)<!--\s*(?P<kind>record|published|calc)\s+(?P<what>[^>]*?)\s*-->"
)
_FREE = re.compile(
    r"(?<![\w.<])-?\d[\d,]*(?:\.\d+|(?=[  ]?(?:%|×|GB|MB|kB|GiB|MiB|ms|tok/s|times|percent|seconds?|minutes?)(?!\w)))"
)


class Quoted(NamedTuple):
    """A number in prose that says where it comes from."""

    number: str
    kind: str  # record, published or calc
    what: str  # the record's name, the source, or the arithmetic
    percent: bool

    def supported(self, value: Value) -> bool:
        """Whether `value`, rounded to the digits shown in the prose, is the number quoted."""
        if isinstance(value, (bool, str)):
            return False
        shown = float(self.number.replace(",", ""))
        digits = len(self.number.partition(".")[2])
        return round(float(value) * (100 if self.percent else 1), digits) == shown


def quoted_numbers(markdown: str) -> Iterator[Quoted]:
    """The bound numbers of a markdown cell; `%` after the number means the record is a fraction."""
    for match in _BOUND.finditer(markdown):
        yield Quoted(match["number"], match["kind"], match["what"], "%" in match["unit"])


def free_numbers(markdown: str) -> list[str]:
    """Numbers that look measured (a decimal point, or a unit behind them) and say nothing of their source."""
    prose = re.sub(
        r"```.*?```|~~~.*?~~~|^### Exercise .*?$|\bsections? \d[\d.]*\d|`[^`]*`|\$\$.*?\$\$|\$[^$\n]*\$|\]\([^)]*\)",
        " ",
        _BOUND.sub(" ", markdown),
        flags=re.S | re.M,
    )
    return _FREE.findall(prose)


def prose_problems(markdown: str, expected: Mapping[str, Value], minutes: int) -> list[str]:
    """What is wrong with a markdown cell's numbers: unbound, unknown to the records, or other than the records say.

    `expected` holds the lesson's baseline values by record name, `minutes` how long its run took.
    """
    problems = [
        f"{number} says nothing of its source: bind it to a record, or name who published it"
        for number in free_numbers(markdown)
    ]
    for quoted in quoted_numbers(markdown):
        if quoted.what == "lesson minutes":
            if quoted.number != str(minutes):
                problems.append(f"the lesson is said to take {quoted.number} minutes; its recorded run took {minutes}")
        elif quoted.kind == "record" and quoted.what not in expected:
            problems.append(f"{quoted.number} is bound to {quoted.what}, which the lesson does not record")
        elif quoted.kind == "record" and not quoted.supported(expected[quoted.what]):
            problems.append(
                f"{quoted.number} is quoted for {quoted.what}, which was measured as {expected[quoted.what]}"
            )
    return problems
