"""Values in Go's templates: messages, fields, comparison, and the functions that chat templates call."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


class TemplateError(ValueError):
    """A template that Go would refuse, or that uses more of Go than is known here; it is the learner's to mend."""

    def __str__(self) -> str:
        return f"{super().__str__()} Correct the template there."


@dataclass(frozen=True)
class Message:
    """A message as Ollama's templates see it: .Role, .Content, and what stays empty in a plain chat."""

    Role: str
    Content: str
    Thinking: str = ""
    ToolName: str = ""
    Images: tuple[()] = ()
    ToolCalls: tuple[()] = ()


def variable(name: str, names: ChainMap[str, Any]) -> Any:
    if name not in names:
        raise TemplateError(f"{name} was never set.")
    return names[name]


def fields_of(value: Any, fields: list[str]) -> Any:
    for field in fields:
        if isinstance(value, dict):
            value = value.get(field)  # Ollama's option missingkey=zero
        elif isinstance(value, Message) and field in Message.__dataclass_fields__:
            value = getattr(value, field)
        else:
            what = "a message" if isinstance(value, Message) else "what stands before it"
            raise TemplateError(f".{field}: {what} has no such field.")
    return value


def printed(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "<no value>"
    if not isinstance(value, str | int):
        raise TemplateError("a list or a message cannot be written out: name its .Content.")
    return str(value)


def _equal(a: Any, b: Any) -> bool:
    if None not in (a, b) and type(a) is not type(b):
        raise TemplateError(f"{a!r} and {b!r} are of different kinds: Go does not compare them.")
    return a == b


def _compare(test: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    def compared(a: Any, b: Any) -> bool:
        one, other = a(), b()
        if None in (one, other):
            raise TemplateError("a value that is missing is neither less nor more.")
        _equal(one, other)  # of one kind
        return test(one, other)

    return compared


def _list(value: Any) -> Any:
    if not isinstance(value, tuple):
        raise TemplateError("index and slice take a list here, such as .Messages.")
    return value


def _first(values: Sequence[Any], truth: bool) -> Any:
    """and gives the first empty value, or the first that is not; else the last. What follows is not looked at."""
    value = None
    for later in values:
        value = later()
        if bool(value) is truth:
            break
    return value


def _equals_one(value: Any, others: Sequence[Any]) -> bool:
    return any(_equal(value, other()) for other in others)


def _length(value: Any) -> int:
    return len(value.encode() if isinstance(value, str) else value)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "eq": lambda a, *others: _equals_one(a(), others),
    "ne": lambda a, b: not _equal(a(), b()),
    "lt": _compare(lambda a, b: a < b),
    "le": _compare(lambda a, b: a <= b),
    "gt": _compare(lambda a, b: a > b),
    "ge": _compare(lambda a, b: a >= b),
    "and": lambda *values: _first(values, False),
    "or": lambda *values: _first(values, True),
    "not": lambda value: not value(),
    "len": lambda value: _length(value()),
    "index": lambda items, i: _list(items())[i()],
    "slice": lambda items, start, *end: _list(items())[start() : end[0]() if end else None],
}
