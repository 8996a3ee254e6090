"""The rules of the house style for small Python functions. The code is only read (`ast`, `tokenize`), never run.

An answer is one function and nothing else: no markdown fence, no sentence before or after.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from typing import Any

# characters; the answers of the data have at most 500
LONGEST_ANSWER = 2_000
LONGEST_LINE, LONGEST_BODY = 88, 6
NO_VERBS = {"A", "An", "The", "This", "That", "It", "Function", "Method", "Helper"}


def asked_name(example: dict[str, Any]) -> str:
    """The function's name in the last question: its one word with an underscore. Raises ValueError without one."""
    names = set(re.findall(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b", example["messages"][-2]["content"]))
    if len(names) != 1:
        raise ValueError(f"the question must name one function in snake_case, such as count_vowels, not {len(names)}.")
    return names.pop()


def faults(answer: str, example: dict[str, Any]) -> list[str]:
    """Return advice for each rule of the style that a whole answer breaks, so [] for a good one."""
    name, code = asked_name(example), answer.strip()
    if len(code) > LONGEST_ANSWER:
        return [f"stop after one short function: {len(code):,} characters are too long to be one"]
    try:
        # a model's odd escapes, such as "\d", would warn
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(code).body
            tokens = list(tokenize.generate_tokens(io.StringIO(code).readline))
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return ["answer in Python alone, without a fence or a sentence: this cannot be read as Python"]
    if len(tree) != 1 or not isinstance(tree[0], ast.FunctionDef):
        return ["write one function with def at the top level, and nothing beside it"]
    function, lines = tree[0], code.split("\n")
    of, nodes = function.args, list(ast.walk(function))
    parameters = [*of.posonlyargs, *of.args, *of.kwonlyargs, *(one for one in (of.vararg, of.kwarg) if one)]
    names = [one.arg for one in parameters]
    names += [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    docstring = ast.get_docstring(function, clean=False) or ""
    body = len(lines) - ((function.body[0].end_lineno or 0) if docstring else function.body[0].lineno - 1)
    rules = {
        f"call the function {name}, as asked": function.name == name,
        "annotate every parameter and what is returned": function.returns and all(one.annotation for one in parameters),
        "begin with a docstring of one line: a verb such as Count first, a full stop last": _orders(docstring),
        f"write at most {LONGEST_BODY} lines after the docstring, not {body}": body <= LONGEST_BODY,
        "end with a return that gives a value": isinstance(function.body[-1], ast.Return) and function.body[-1].value,
        "leave comments out": all(token.type != tokenize.COMMENT for token in tokens),
        "return what was found, and print nothing": all(
            not isinstance(node, ast.Name) or node.id != "print" for node in nodes
        ),
        "put text in double quotes": not _single_quoted(tokens),
        f"keep every line within {LONGEST_LINE} characters": all(len(line) <= LONGEST_LINE for line in lines),
        "name parameters and variables in snake_case": all(re.fullmatch("[a-z_][a-z0-9_]*", one) for one in names),
        "use plain ASCII": code.isascii(),
    }
    return [advice for advice, holds in rules.items() if not holds]


def _orders(docstring: str) -> bool:
    """Whether this is one line that begins like an imperative (by form, not meaning) and ends with a full stop."""
    verb = re.match("[A-Z][a-z]+", docstring)
    like_a_verb = verb and verb[0] not in NO_VERBS and not re.search("([^s]s|ing)$", verb[0])
    return bool(like_a_verb) and docstring.endswith(".") and "\n" not in docstring


def _single_quoted(tokens: list[tokenize.TokenInfo]) -> bool:
    """Whether a string begins with a single quote; the inside of an f-string may, when its outside has double ones."""
    inside = 0
    for token in tokens:
        kind = tokenize.tok_name[token.type]
        if kind in ("STRING", "FSTRING_START") and not inside and re.match(r"\w*'", token.string):
            return True
        # these two tokens exist since Python 3.12
        inside += (kind == "FSTRING_START") - (kind == "FSTRING_END")
    return False


def looks_like(answer: str) -> bool:
    """Code where a sentence was asked for: it begins with def, bare or in a fence."""
    return bool(re.match(r"(```\w*\s*)?def\s", answer.strip()))
