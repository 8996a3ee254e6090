"""Numbers in a lesson's prose: each says which record, source, arithmetic or code it comes from.

A comment that readers do not see follows the number:

- `8.4<!--record perplexity.full-->` was measured by this lesson, `6.3<!--record 08_qlora_7b:cpu_7b.peak-->` by another;
- `5.68<!--published svd_llm.intact-->` stands in that row of `data/published.toml`, with its source;
- `4.5<!--calc 4 + 32/64-->` is calculated, also from records: `18%<!--calc exp(11_rulers:rulers.q4_0) - 1-->`;
- `8<!--code held_out[:8]-->` stands so in a code cell of the same lesson.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

_NUMBER = r"-?\d[\d,]*(?:\.\d+)?"
_BOUND = re.compile(
    rf"(?:(?P<low>{_NUMBER})–)?(?P<number>{_NUMBER})(?P<unit>[  ]?(?:%|×|‰)?)"
    r"<!--\s*(?P<kind>record|published|calc|code)\s+(?P<what>[^>]*?)\s*-->"
)
_FREE = re.compile(
    r"(?<![\w.<])(?<![A-Za-z]-)-?\d[\d,]*"
    r"(?:\.\d+(?!\.?\d)|(?=[  ]?(?:%|×|GB|MB|kB|GiB|MiB|ms|tok/s|times|percent|seconds?|minutes?)(?!\w)))"
)


class Quoted(NamedTuple):
    """A number in prose that says where it comes from."""

    number: str
    kind: str  # record, published, calc or code
    what: str  # the record, the row of published figures, the arithmetic, or the code
    percent: bool
    low: str | None = None  # where a range is quoted, its lower end

    def supported(self, value: Any) -> bool:
        """Whether `value`, rounded to the digits shown in the prose, is the number quoted; [low, high] for a range.

        A published figure is quoted as it was printed: it is not rounded, nor is a percentage a fraction.
        """
        numbers, values = [n for n in (self.low, self.number) if n], value if isinstance(value, list) else [value]
        return len(numbers) == len(values) and all(map(self._is, numbers, values))

    def _is(self, number: str, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        shown, digits = float(number.replace(",", "")), len(number.partition(".")[2])
        if self.kind == "published":
            return shown == value
        return round(float(value) * (100 if self.percent else 1), digits) == shown


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


def free_numbers(markdown: str) -> list[str]:
    """Numbers that look measured (a decimal point, or a unit behind them) and say nothing of their source."""
    prose = re.sub(
        r"```.*?```|~~~.*?~~~|^#+ (?:Exercise|Exhibit) .*?$|\bsections? \d[\d.]*\d|`[^`]*`|\$\$.*?\$\$|\$[^$\n]*\$|\]\([^)]*\)",
        " ",
        _BOUND.sub(" ", markdown),
        flags=re.S | re.M,
    )
    return _FREE.findall(prose)


def without_sources(text: str) -> str:
    """`text` as it is read: without the comments that say where its numbers come from."""
    return re.sub(r"<!--.*?-->", "", text, flags=re.S)


_NAME = re.compile(r"(?<![\w.:])(?:\w+:)?[A-Za-z_][\w.]*\b(?!\()")
_FUNCTIONS: dict[str, Callable[[float], float]] = {"exp": math.exp, "sqrt": math.sqrt}
_OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def with_names(expression: str, show: Callable[[str], str]) -> str:
    """An arithmetic with each of its names (records, published rows, constants of the package) as `show` has it."""
    if re.fullmatch(r"lesson \w+", expression):
        return show(expression)
    return _NAME.sub(lambda name: show(name[0]), expression)


def calculated(expression: str, known: Mapping[str, Any]) -> float:
    """The value of `expression`: numbers, + - * / **, brackets, exp(…), sqrt(…) and names that are in `known`.

    Raises KeyError for a name that is not, ValueError for anything that is no such arithmetic.
    """
    if expression in known:  # a name in several words, such as "lesson minutes"
        return float(known[expression])
    numbers = _NAME.sub(lambda name: f"({float(known[name[0]])!r})", expression)
    try:
        return _value(ast.parse(numbers, mode="eval").body)
    except SyntaxError as error:
        raise ValueError(f"“{expression}” is no arithmetic") from error


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_value(left), _value(right))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](_value(argument))
    raise ValueError(f"“{ast.unparse(node)}” is no arithmetic of numbers and records")


def prose_problems(markdown: str, known: Mapping[str, Any], code: str = "") -> list[str]:
    """What is wrong with the numbers of a text: unbound, from nowhere, or other than their source says.

    `known` holds the lesson's records by name and whatever else may be named: `published:` and a row, another lesson's
    stem, a colon and a record, “lesson minutes”. `code` is the lesson's code.
    """
    problems = [
        f"{number} says nothing of its source: bind it to a record, or name who published it"
        for number in free_numbers(markdown)
    ]
    for quoted in quoted_numbers(markdown):
        number = f"{quoted.low}–{quoted.number}" if quoted.low else quoted.number
        if quoted.kind == "code":
            if quoted.what not in code:
                problems.append(f"{number} is quoted from the code “{quoted.what}”, which no cell of the lesson holds")
            elif number not in re.findall(r"\d+(?:\.\d+)?", quoted.what):
                problems.append(f"{number} is quoted from the code “{quoted.what}”, which says otherwise")
            continue
        try:
            value = _source(quoted, known)
        except (KeyError, ValueError) as error:
            problems.append(f"{number} is bound to {quoted.what}, which cannot be looked up: {error.args[0]}")
        else:
            if not quoted.supported(value):
                problems.append(f"{number} is quoted for {quoted.what}, which is {value}")
    return problems


def _source(quoted: Quoted, known: Mapping[str, Any]) -> Any:
    if quoted.kind == "calc":
        return calculated(quoted.what, known)
    return known[f"published:{quoted.what}" if quoted.kind == "published" else quoted.what]
