"""What of a student's cells is run: definitions, and nothing that trains, loads or draws."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


def statements(source: str) -> list[ast.stmt]:
    """The statements of a cell that define something: calls that stand alone, such as check(…), and magics do not.
    Raises one of UNREADABLE."""
    body = ast.parse(re.sub(r"^(\s*)[!%].*$", r"\1pass", source, flags=re.M)).body
    return [node for node in body if not isinstance(node, ast.Expr)]


def from_above(sources: Iterable[str]) -> Iterator[ast.stmt]:
    """What counts of the cells above an answer's: their imports, functions, classes and constants."""
    for source in sources:
        with suppress(*UNREADABLE):
            yield from (node for node in statements(source) if _defines(node))


def _defines(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        with suppress(*UNREADABLE):
            ast.literal_eval(node.value)
            return True
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef))


def answer_of(job: Mapping[str, Any]) -> Any:
    """What the answer's cell defines under its name. Raises whatever its code raises."""
    scope: dict[str, Any] = {"__name__": "__main__", "profile": "quick", "seed": 0}
    for node in from_above(job["above"]):
        with suppress(Exception):
            exec(compile(ast.Module([node], []), "a cell above", "exec"), scope)
    for node in statements(job["cell"]):
        exec(compile(ast.Module([node], []), "the cell", "exec"), scope)
    return scope[job["name"]]
