"""What is wrong with the numbers of a text: unbound, from nowhere, or other than their source says."""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from lora_lessons.course.prose import _BOUND, Quoted, quoted_numbers, with_names

_FREE = re.compile(
    r"(?<![\w.<])(?<![A-Za-z]-)-?\d[\d,]*"
    r"(?:\.\d+(?!\.?\d)|(?=[  ]?(?:%|×|GB|MB|kB|GiB|MiB|ms|tok/s|"
    r"times|percent|seconds?|minutes?|million|billion|nats|bits? a weight)(?!\w)))"
)


def free_numbers(markdown: str) -> list[str]:
    """Numbers that look measured (a decimal point, or a unit behind them) and say nothing of their source."""
    prose = re.sub(
        (
            r"```.*?```|~~~.*?~~~|^#+ (?:Exercise|Exhibit) .*?$|\bsections? "
            r"\d[\d.]*\d|`[^`]*`|\$\$.*?\$\$|\$[^$\n]*\$|\]\([^)]*\)"
        ),
        " ",
        _BOUND.sub(" ", markdown),
        flags=re.S | re.M,
    )
    return _FREE.findall(prose)


def supported(quoted: Quoted, value: Any) -> bool:
    """Whether `value`, rounded to the digits shown in the prose, is the number quoted; [low, high] for a range.

    A published figure is quoted as it was printed: it is not rounded, nor is a percentage a fraction.
    """
    numbers, values = [n for n in (quoted.low, quoted.number) if n], value if isinstance(value, list) else [value]
    return len(numbers) == len(values) and all(_is(quoted, *pair) for pair in zip(numbers, values, strict=True))


def _is(quoted: Quoted, number: str, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    shown, digits = float(number.replace(",", "")), len(number.partition(".")[2])
    if quoted.kind == "published":
        return shown == value
    return round(float(value) * (100 if quoted.percent else 1), digits) == shown


_FUNCTIONS: dict[str, Callable[[float], float]] = {"exp": math.exp, "log": math.log, "sqrt": math.sqrt}
_OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def calculated(expression: str, known: Mapping[str, Any]) -> float:
    """The value of `expression`: numbers, + - * / **, brackets, exp(…), log(…), sqrt(…) and names that are in `known`.

    Raises KeyError for a name that is not, ValueError for anything that is no such arithmetic.
    """
    if expression in known:  # a name in several words, such as "lesson minutes"
        return float(known[expression])
    numbers = with_names(expression, lambda name: f"({float(known[name])!r})")
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
            if not supported(quoted, value):
                problems.append(f"{number} is quoted for {quoted.what}, which is {value}")
    return problems


def _source(quoted: Quoted, known: Mapping[str, Any]) -> Any:
    if quoted.kind == "calc":
        return calculated(quoted.what, known)
    return known[f"published:{quoted.what}" if quoted.kind == "published" else quoted.what]
