"""Numbers in a lesson's prose: each says which record, source or arithmetic it comes from.

A measured number carries its record's name in a comment that readers do not see: `8.4<!--record perplexity.full-->`; a
number from the literature says whose it is: `28.1<!--published SVD-LLM-->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .records import Value

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
