"""What Ollama would send to the model: Go's text/template, as much of it as chat templates are written in.

Known here: text, {{ value }}, {{- trimming -}}, {{/* comments */}}, if / else if / else, range (with $i, $m),
variables, strings, whole numbers, ( ), and eq ne lt le gt ge and or not len index slice. Anything else is refused by
name, so that what is rendered is what Go renders: tests/tools/export/ollama/go_templates.json holds what Go
itself made of the same templates.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Sequence
from typing import Any

from .gosyntax import Assign, If, Message, Output, Range, TemplateError, lex, parse, printed

LONGEST = 100_000  # characters of a template, and a hundred times as many of what it renders
STEPS = 100_000  # nodes that a template may run, which is more than a thousand messages take

Talk = list[dict[str, str]]  # [{"role": "user", "content": "Hello"}, …]


def chat(template: str, messages: Talk) -> str:
    """The text that Ollama makes of a conversation (its template/template.go and server/prompt.go, read in 2026-11).

    A template that names .Messages is rendered once; messages of one role in a row are joined, and .System holds the
    text of the system messages. The begin-of-text token is no part of it: the runner adds it to the tokens.
    Ollama also knows an older form, rendered once a turn from .System, .Prompt and .Response, which loses the order of
    turns where it does not expect it: it is refused here. Raises TemplateError.
    """
    if not re.search(r"\{\{[^}]*\.Messages\b", template):
        raise TemplateError(
            "the template does not name .Messages (Ollama's older form, with .Prompt and .Response): "
            "write it as {{ range .Messages }} … {{ end }}."
        )
    joined: list[Message] = []
    for role, content in ((m["role"], m["content"]) for m in messages):
        if joined and joined[-1].Role == role:
            content = f"{joined.pop().Content}\n\n{content}"
        joined.append(Message(role, content))
    plain = {"Tools": (), "Response": "", "Think": False, "IsThinkSet": False}
    return render(
        template,
        {"System": "\n\n".join(m["content"] for m in messages if m["role"] == "system"), "Messages": tuple(joined)}
        | plain,
    )


def render(template: str, values: dict[str, Any]) -> str:
    """`template` with `values` (.Name is values["Name"]), as Go's text/template renders it. Raises TemplateError."""
    if len(template) > LONGEST:
        raise TemplateError(f"the template has {len(template):,} characters, and {LONGEST:,} are read here.")
    out = _Text()
    try:
        nodes, end = parse(lex(template), 0)
        if end is not None:
            raise TemplateError(f"{{{{ {end} }}}} closes nothing.")
        _run(nodes, values, ChainMap({"$": values}), out)
    except TemplateError:
        raise
    except RecursionError as error:
        raise TemplateError("the template is nested too deep.") from error
    except (TypeError, IndexError, ValueError) as error:  # one argument too many, an index out of range, a huge number
        raise TemplateError(f"Go would not run this template ({error}).") from error
    return "".join(out)


class _Text(list[str]):
    """What is rendered, piece by piece, and how much work that was."""

    steps = length = 0

    def step(self) -> None:
        """Count one node. Raises TemplateError beyond STEPS."""
        self.steps += 1
        if self.steps > STEPS:
            raise TemplateError(f"the template takes more than {STEPS:,} steps for one conversation.")

    def append(self, text: str) -> None:
        """Add a piece. Raises TemplateError where the whole becomes too long."""
        self.length += len(text)
        if self.length > 100 * LONGEST:
            raise TemplateError(f"the template makes more than {100 * LONGEST:,} characters of one conversation.")
        super().append(text)


def _run(nodes: Sequence[Any], dot: Any, names: ChainMap[str, Any], out: _Text) -> None:
    for node in nodes:
        out.step()
        match node:
            case str():
                out.append(node)
            case Output(value):
                out.append(printed(value(dot, names)))
            case Assign(name, new, value):
                scope = names.maps[0] if new else next((m for m in names.maps if name in m), None)
                if scope is None:
                    raise TemplateError(f"{name} was never set with :=.")
                scope[name] = value(dot, names)
            case If(value, then, otherwise):
                _run(then if value(dot, names) else otherwise, dot, names.new_child(), out)
            case Range(variables, value, body, otherwise):
                items = value(dot, names)
                if not isinstance(items, tuple | None):
                    raise TemplateError("range goes over a list here, such as .Messages.")
                for i, item in enumerate(items or ()):
                    out.step()
                    known = dict(zip(variables, (i, item) if len(variables) == 2 else (item,), strict=False))
                    _run(body, item, names.new_child(known), out)
                if not items:
                    _run(otherwise, dot, names.new_child(), out)
