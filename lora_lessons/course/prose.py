"""Numbers in a lesson's prose: each says which record, source, arithmetic or code it comes from.

A comment that readers do not see follows the number:

- `8.4<!--record perplexity.full-->` was measured by this lesson, `6.3<!--record 08_qlora_7b:cpu_7b.peak-->` by another;
- `5.68<!--published svd_llm.intact-->` stands in that row of `data/published.toml`, with its source;
- `4.5<!--calc 4 + 32/64-->` is calculated, also from records: `21%<!--calc 06_quantization:perplexity.nf4 - 1-->`;
- `8<!--code held_out[:8]-->` stands so in a code cell of the same lesson.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

_NUMBER = r"-?\d[\d,]*(?:\.\d+)?"
_BOUND = re.compile(
    rf"(?:(?P<low>{_NUMBER})–)?(?P<number>{_NUMBER})(?P<unit>[  ]?(?:%|×|‰)?)"
    r"<!--\s*(?P<kind>record|published|calc|code)\s+(?P<what>[^>]*?)\s*-->"
)


class Quoted(NamedTuple):
    """A number in prose that says where it comes from."""

    number: str
    kind: str  # record, published, calc or code
    what: str  # the record, the row of published figures, the arithmetic, or the code
    percent: bool
    low: str | None = None  # where a range is quoted, its lower end


def quoted_numbers(markdown: str) -> Iterator[Quoted]:
    """The bound numbers of a markdown cell; `%` after the number means that the record is a fraction."""
    for match in _BOUND.finditer(markdown):
        yield _quoted(match)


def with_sources(markdown: str, show: Callable[[Quoted, str], str]) -> str:
    """`markdown` with each bound number and its comment replaced by what `show` makes of it.

    `show` gets the number quoted and how it reads, unit or range included: "2.8%", "1–2".
    """

    def shown(match: re.Match[str]) -> str:
        return show(_quoted(match), match[0].partition("<!--")[0])

    return _BOUND.sub(shown, markdown)


def _quoted(match: re.Match[str]) -> Quoted:
    return Quoted(match["number"], match["kind"], match["what"], "%" in match["unit"], match["low"])


def without_sources(text: str) -> str:
    """`text` as it is read: without the comments that say where its numbers come from."""
    return re.sub(r"<!--.*?-->", "", text, flags=re.S)


_NAME = re.compile(r"(?<![\w.:])(?:\w+:)?[A-Za-z_][\w.]*\b(?!\()")


def with_names(expression: str, show: Callable[[str], str]) -> str:
    """An arithmetic with each of its names (records, published rows, constants of the package) as `show` has it."""
    if re.fullmatch(r"lesson \w+", expression):
        return show(expression)
    return _NAME.sub(lambda name: show(name[0]), expression)


def listed(names: Sequence[str]) -> str:
    """As a sentence lists them."""
    return " and ".join([", ".join(names[:-1])] * (len(names) > 1) + list(names[-1:]))
