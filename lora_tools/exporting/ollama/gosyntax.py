"""Go's text/template, as far as Ollama's templates use it: its syntax and its values."""

from __future__ import annotations

import json
import re
from collections import ChainMap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\\n])*"|`[^`]*`)|(?P<number>-?\d+\b)|(?P<name>\$\w*(?:\.\w+)*|(?:\.\w+)+|\.(?!\w))
    |(?P<word>[A-Za-z_]\w*)|(?P<mark>:=|[=(),|])|(?P<end>-?\}\}))""",
    re.VERBOSE,
)

_TRIM = re.compile(r"-\s")


class Action(NamedTuple):
    """What stands between {{ and }}: pairs of a kind (string, number, name, word, mark) and its text."""

    tokens: list[tuple[str, str]]

    @property
    def word(self) -> str:
        """Its first word, such as if or end; empty when it starts otherwise."""
        return self.tokens[0][1] if self.tokens and self.tokens[0][0] == "word" else ""


def lex(template: str) -> list[str | Action]:
    parts: list[str | Action] = []
    at, trim = 0, False
    while True:
        start = template.find("{{", at)
        text = template[at : start if start >= 0 else None]
        text = text.lstrip(" \t\r\n") if trim else text
        if start < 0:
            return [*parts, text]
        at = start + 2
        if _TRIM.match(template, at):
            text, at = text.rstrip(" \t\r\n"), at + 1
        parts.append(text)
        if comment := re.compile(r"\s*/\*.*?\*/(\s+-)?\}\}", re.DOTALL).match(template, at):
            at, trim = comment.end(), bool(comment[1])
            continue
        tokens: list[tuple[str, str]] = []
        while True:
            token = _TOKEN.match(template, at)
            if token is None or token.lastgroup is None:
                raise TemplateError(f"{{{{{template[start + 2 : at + 20]!r} is not understood, or its }}}} is missing.")
            at = token.end()
            if token.lastgroup == "end":
                trim = token["end"].startswith("-")
                if trim and not token[0][0].isspace():
                    raise TemplateError("-}} needs a space before it.")
                break
            tokens.append((token.lastgroup, token[token.lastgroup]))
        parts.append(Action(tokens))


Expression = Callable[[Any, "ChainMap[str, Any]"], Any]  # of the dot and the variables


class Output(NamedTuple):
    value: Expression


class Assign(NamedTuple):
    name: str
    new: bool
    value: Expression


class If(NamedTuple):
    value: Expression
    then: list[Any]
    otherwise: list[Any]


class Range(NamedTuple):
    names: list[str]
    value: Expression
    body: list[Any]
    otherwise: list[Any]


def parse(parts: list[str | Action], depth: int) -> tuple[list[Any], str | None]:
    """The nodes up to the action that closes this level, taken off `parts`, and that action ("end", "else",
    "else if …")."""
    nodes: list[Any] = []
    while parts:
        part = parts.pop(0)
        if isinstance(part, str):
            nodes.append(part)
        elif part.word in ("end", "else"):
            if part.word == "else" and len(part.tokens) > 1:
                # {{ else if x }}…{{ end }} is {{ else }}{{ if x }}…{{ end }}{{ end }}
                parts.insert(0, Action(part.tokens[1:]))
                return nodes, "else if"
            return nodes, part.word
        elif part.word in ("if", "range"):
            nodes.append(_block(part, parts, depth))
        elif len(part.tokens) > 1 and part.tokens[1][1] in (":=", "="):
            nodes.append(Assign(part.tokens[0][1], part.tokens[1][1] == ":=", _expression(part.tokens[2:])))
        else:
            nodes.append(Output(_expression(part.tokens)))
    if depth:
        raise TemplateError("an {{ if }} or {{ range }} has no {{ end }}.")
    return nodes, None


def _block(action: Action, parts: list[str | Action], depth: int) -> If | Range:
    tokens, names = action.tokens[1:], []
    if ("mark", ":=") in tokens:
        cut = tokens.index(("mark", ":="))
        names, tokens = [text for kind, text in tokens[:cut] if kind == "name"], tokens[cut + 1 :]
        if action.word == "if":
            raise TemplateError("{{ if $x := … }} is not known here: assign first, then ask.")
    body, end = parse(parts, depth + 1)
    otherwise: list[Any] = []
    if end == "else if":
        inner = parts.pop(0)
        assert isinstance(inner, Action)
        if inner.word != "if":
            raise TemplateError(f"{{{{ else {inner.word} }}}} is not known here.")
        otherwise = [_block(inner, parts, depth + 1)]
    elif end == "else":
        otherwise, _ = parse(parts, depth + 1)
    value = _expression(tokens)
    return If(value, body, otherwise) if action.word == "if" else Range(names, value, body, otherwise)


def _expression(tokens: list[tuple[str, str]]) -> Expression:
    """`eq .Role "user"`, `.Content`, `and $x (gt $i 0)` as a function of the dot and the variables."""
    left = list(tokens)
    made = _command(left)
    if left:
        raise TemplateError(f"{left[0][1]} is not known here, or it is out of place.")
    return made


def _command(left: list[tuple[str, str]]) -> Expression:
    if not left:
        raise TemplateError("{{ }} is empty where a value is needed.")
    if left[0][0] != "word" or left[0][1] in _CONSTANTS:
        return _operand(left)
    name = left.pop(0)[1]
    if name not in FUNCTIONS:
        raise TemplateError(f"{name} is not known here.")
    arguments = []
    while left and left[0] != ("mark", ")"):
        arguments.append(_operand(left))
    if not arguments:
        raise TemplateError(f"{name} needs a value.")
    return lambda dot, names: FUNCTIONS[name](*((lambda a=a: a(dot, names)) for a in arguments))


_CONSTANTS = {"true": True, "false": False, "nil": None}


def _operand(left: list[tuple[str, str]]) -> Expression:
    kind, text = left.pop(0)
    if kind == "string":
        value = text[1:-1] if text[0] == "`" else _unquoted(text)
        return lambda dot, names: value
    if kind == "number":
        return lambda dot, names: int(text)
    if kind == "word" and text in _CONSTANTS:
        return lambda dot, names: _CONSTANTS[text]
    if kind == "name":
        first, *fields = text.split(".")
        fields = [field for field in fields if field]
        return lambda dot, names: fields_of(variable(first, names) if first else dot, fields)
    if (kind, text) == ("mark", "("):
        made = _command(left)
        if not left or left.pop(0) != ("mark", ")"):
            raise TemplateError("a ( has no ).")
        return made
    raise TemplateError(f"{text} is not known here, or it is out of place.")


def _unquoted(text: str) -> str:
    try:
        return json.loads(text)  # Go's escapes that chats use (\n \t \" \\ \u00e9) are JSON's
    except ValueError as error:
        raise TemplateError(f"the text {text} has an escape that is not known here.") from error


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
