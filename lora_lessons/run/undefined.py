"""A cell that is run alone, without the cells before it: its NameError says which cell to run first.

And a copy of another version of the course, which imports what is no longer there: it says how to get the new one.

The kernels of `lora-lessons lab` call `answer_undefined_names` when they start. A name that no other cell of the
notebook makes, such as a slip in the learner's own code, keeps its ordinary traceback.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def answer_undefined_names() -> None:
    """From now on this kernel answers a name, a module or an attribute that is not there with a sentence,
    where it knows one."""
    from IPython.core.getipython import get_ipython

    if (shell := get_ipython()) is not None:
        shell.set_custom_exc((NameError, ImportError, AttributeError), _answer)


def _answer(
    shell: Any,
    kind: type,
    error: NameError | ImportError | AttributeError,
    trace: Any,
    tb_offset: int | None = None,
) -> None:
    if isinstance(error, NameError):
        sentence = _run_first(shell, error)
    else:  # a module that has no such module, or no such name
        sentence = of_another_version(
            error.name if isinstance(error, ImportError) else getattr(error.obj, "__name__", "")
        )
    if sentence:
        shell._showtraceback(kind, error, [sentence])
    else:
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


def of_another_version(module: str | None) -> str | None:
    """What to say where `module`, or something in it, could not be imported; None where it is none of the course's."""
    if (module or "").partition(".")[0] not in ("lora_lessons", "lora_tools"):
        return None
    return (
        f"this notebook is of another version of the course, and asks for something in `{module}` that is not there. "
        "Rename it (what you wrote stays), and `lora-lessons lab` copies this version's beside it."
    )


def _run_first(shell: Any, error: NameError) -> str | None:
    try:
        running = shell.history_manager.input_hist_raw[-1]
        notebook = json.loads(Path(os.environ["JPY_SESSION_NAME"]).read_text(encoding="utf-8"))
        cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
        return what_to_run_first(error.name, cells, running)
    except Exception:  # whatever it is, the ordinary traceback is still to be shown
        return None


def what_to_run_first(name: str | None, cells: list[str], running: str) -> str | None:
    """What to say of an undefined `name` in the cell `running`; None where no cell above it makes that name."""
    above = cells[: cells.index(running)] if running in cells else cells
    for cell in above:
        if name in set(_made(cell)):
            begins = next(line.strip() for line in cell.splitlines() if line.strip() and not line.startswith("#"))
            return (
                f"`{name}` is not here yet: it comes from the cell that begins with `{begins[:60]}`. "
                "Run the cells above this one first (menu Run, then Run All Above Selected Cell)."
            )
    return None


def _made(cell: str) -> Iterator[str]:
    """The names that a cell makes at its top level."""
    try:
        waiting: list[ast.AST] = list(ast.parse(re.sub(r"^(\s*)[!%].*$", r"\1pass", cell, flags=re.M)).body)
    except SyntaxError:
        return
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif not isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            waiting += ast.iter_child_nodes(node)
