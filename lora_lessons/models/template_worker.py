"""Tries a chat template, given as JSON on standard input; what is wrong with it goes to standard output, as JSON.

It stands alone: run by its path, so that nothing heavy is imported. Its environment is that of transformers
(utils/chat_template_utils.py), as far as a template may tell.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY = 1 << 30  # bytes
OTHER_FILES = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
LONGEST = 1_000_000  # characters of a rendered conversation


def talk(*contents: str, system: str = "") -> list[dict[str, str]]:
    """A conversation of these turns, the user's first."""
    first = [{"role": "system", "content": system}] if system else []
    return first + [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(contents)]


# The long one is there for loops over what was said.
TALKS = (
    talk("What is 12 × 7?"),
    talk("Name a colour.", system="Answer in one word."),
    talk("One?", "Two.", "Three?", "Four.", "Five?", system="You count."),
    talk("word " * 400, "word " * 400, "Again?"),
)


class Generation(Extension):
    """{% generation %} … {% endgeneration %} marks what is taught; the text between is rendered as it stands."""

    tags = {"generation"}

    def parse(self, parser: Any) -> Any:
        """The nodes between the two tags."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def refuse(message: str) -> None:
    """A template's own raise_exception."""
    raise jinja2.TemplateRuntimeError(message)


def environment() -> ImmutableSandboxedEnvironment:
    """What transformers renders chat templates in."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    dump: Callable[..., str] = lambda x, ensure_ascii=False, **how: json.dumps(  # noqa: E731
        x, ensure_ascii=ensure_ascii, **how
    )
    made.filters["tojson"] = dump
    made.globals |= {"raise_exception": refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    return made


def fault(template: str) -> str:
    """What is wrong with a template, or "" when it renders, or refuses, every one of TALKS."""
    made = environment()
    try:
        if any(True for _ in made.parse(template).find_all(OTHER_FILES)):
            return "includes another file, and a chat template stands alone"
        compiled = made.from_string(template)
    except Exception as error:  # a text may fail to be a template in any way
        return f"cannot be read as Jinja ({first_line(error)})"
    names: dict[str, Any] = {"tools": None, "documents": None, "bos_token": "<s>", "eos_token": "</s>"}
    names |= {f"{kind}_token": f"<{kind}>" for kind in ("unk", "pad", "sep", "cls", "mask")}
    empty = True
    for messages in TALKS:
        for ready in (True, False):
            length = 0
            try:
                for piece in compiled.generate(messages=messages, add_generation_prompt=ready, **names):
                    length += len(piece)
                    if length > LONGEST:
                        return f"makes more than {LONGEST:,} characters of a short conversation"
            except jinja2.TemplateError:
                empty = False
                continue
            except MemoryError:
                return "fills the memory for a short conversation"
            except Exception as error:  # a template may fail in any way
                return f"cannot be rendered ({type(error).__name__}: {first_line(error)})"
            empty = empty and length == 0
    return "makes no text at all of a conversation" if empty else ""


def first_line(error: BaseException) -> str:
    """The first line of an error's words, at most 200 characters."""
    return (str(error).strip().splitlines() or ["no reason given"])[0][:200]


def limit_memory() -> None:
    """No more than MEMORY from now on, where the system can see to it."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):
        pass


if __name__ == "__main__":
    limit_memory()
    print(json.dumps(fault(json.load(sys.stdin))))
