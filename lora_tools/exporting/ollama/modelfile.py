'''A Modelfile, Ollama's recipe for a model: read as Ollama reads it (its parser/parser.go, read in 2026-11),
and quoted.

INSTRUCTION value, one a line; a value that starts with " or """ goes on, over lines too,
until a line ends with the same.'''

from __future__ import annotations

import re
from typing import NamedTuple

_WORDS = "FROM ADAPTER TEMPLATE SYSTEM PARAMETER MESSAGE LICENSE DRAFT RENDERER PARSER REQUIRES"
INSTRUCTIONS = tuple(_WORDS.split())


class ModelfileError(ValueError):
    """A Modelfile that Ollama would refuse; the message names the line."""

    def __str__(self) -> str:
        return f"{super().__str__()} Correct the Modelfile there."


class Instruction(NamedTuple):
    """One instruction: FROM, its value, and its line. PARAMETER and MESSAGE also have a key, such as stop or user."""

    name: str
    value: str
    line: int
    key: str = ""


def parse(text: str) -> list[Instruction]:
    """The instructions of a Modelfile, in order. Raises ModelfileError where Ollama would refuse it."""
    instructions: list[Instruction] = []
    lines = re.split(r"(?<=[\r\n])", text)
    at = 0
    while at < len(lines):
        line, start = lines[at].strip(" \t\r\n"), at + 1
        at += 1
        if not line or line.startswith("#"):
            continue
        word = re.match(r"([A-Za-z]+)([ \t]|$)", line)
        name = word[1].upper() if word else ""
        if name not in INSTRUCTIONS:
            raise ModelfileError(
                f"line {start}: {line.split()[0]} is no instruction; there are {', '.join(INSTRUCTIONS)}."
            )
        rest = lines[at - 1].lstrip(" \t")[len(name) :]
        if not rest.strip():
            raise ModelfileError(f"line {start}: {name} has no value.")
        key = ""
        if name in ("PARAMETER", "MESSAGE"):
            keyed = re.match(r"[ \t]+(\w+)[ \t](.*)", rest, re.DOTALL)
            if keyed is None:
                raise ModelfileError(f"line {start}: {name} needs a name and a value, such as PARAMETER temperature 0.")
            key, rest = keyed[1], keyed[2]
            if name == "MESSAGE" and key not in ("system", "user", "assistant"):
                raise ModelfileError(f"line {start}: MESSAGE needs system, user or assistant, not {key}.")
        # a closing mark ends a line: others are only added, so that a long text takes no longer than it must
        value, more = _unquoted(rest), [rest]
        mark = '"""' if _seen(rest).startswith('"""') else '"'
        while value is None:
            if at == len(lines):
                raise ModelfileError(
                    f"line {start}: the text of {name} is opened with a quotation mark and never closed."
                )
            more.append(lines[at])
            at += 1
            if _seen(more[-1]).endswith(mark):
                value = _unquoted("".join(more))
        instructions.append(Instruction(name, value, start, key))
    if not any(instruction.name == "FROM" for instruction in instructions):
        raise ModelfileError("it has no FROM line: Ollama would not know which model is meant.")
    return instructions


def _unquoted(raw: str) -> str | None:
    """The value that `raw` spells, None while its closing quotation mark is still to come."""
    seen = _seen(raw)
    for mark in ('"""', '"'):
        if seen.startswith(mark):
            closed = len(seen) >= 2 * len(mark) and seen.endswith(mark)
            return seen[len(mark) : -len(mark)] if closed else None
    return seen


def _seen(raw: str) -> str:
    """What Ollama sees of a text: the rest it drops without a word."""
    return "".join(c for c in raw if c.isprintable() or c in "\t\r\n").strip()


def quote(text: str) -> str:
    """`text` as it is written into a Modelfile. Raises ValueError for what a Modelfile cannot hold."""
    for spelled in (f'"""{text}"""', text) if "\n" in text else (f'"{text}"', f'"""{text}"""', text):
        try:
            if text and [i.value for i in parse(f"FROM x\nSYSTEM {spelled}\n# end\n")] == ["x", text]:
                return spelled
        except ModelfileError:
            continue
    if odd := sorted({c for c in text if not (c.isprintable() or c in "\t\r\n")}):
        raise ValueError(
            f"the text holds {odd[0]!a}, which Ollama drops from a Modelfile without a word: take it out of the text."
        )
    raise ValueError(
        'the text is empty, or a line of it ends with """, which ends the text in a Modelfile: write it another way.'
    )
