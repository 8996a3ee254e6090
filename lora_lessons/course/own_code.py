"""What a learner wrote and later lessons use: kept where its check calls it right, and read back in another kernel.

It is kept with the imports that it needs, so that it runs alone; `learner.keep_code` says where.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import linecache
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import learner

IMPORTS = "import math\n\nimport torch\nfrom torch import Tensor, nn\nfrom torch.nn import functional as F\n"


def source_of(made: Any) -> str:
    """The lines that define a class or a function, also in a notebook's cell.
    Raises OSError where they cannot be found."""
    for one in (made, *vars(made).values()):
        if code := getattr(getattr(one, "__func__", one), "__code__", None):  # also of a static method
            text = "".join(linecache.getlines(code.co_filename))
            nodes = [
                node
                for node in ast.walk(ast.parse(text))
                if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == made.__name__
            ]
            if around := [n for n in nodes if n.lineno <= code.co_firstlineno <= (n.end_lineno or 0)]:
                return (ast.get_source_segment(text, around[-1]) or "") + "\n"
    raise OSError(f"the source of {made.__name__} is not to be found")


def learned(layer: Any, name: str) -> Any:
    """The lora_A or lora_B of a learner's layer: itself, or the weight of the nn.Linear that it is;
    None where there is none."""
    from torch import nn

    part = getattr(layer, name, None)
    return part.weight if isinstance(part, nn.Linear) else part


def keep(file: str, made: Any, wrong: Callable[[Any], str], imports: str = "") -> str:
    """Keep the class or function `made` as file.py, if it is right alone, too; a sentence that says what happened.

    `wrong` judges what the file alone makes: "" where it is right, else what is wrong with it.
    """
    try:
        source = f"{IMPORTS}{imports}\n\n{source_of(made)}"
        alone: dict[str, Any] = {"__name__": file}
        exec(compile(source, file, "exec"), alone)
        why = wrong(alone[made.__name__])
    except Exception as error:  # a learner's code may fail in any way
        why = f"{type(error).__name__}: {error}"
    if why:
        return f"Later lessons cannot use it, because it needs something else from this notebook. {why}"
    try:
        learner.keep_code(file, source)
    except OSError as error:
        return f"It could not be kept ({error.strerror or error}), so later lessons will use the course's."
    return "It is kept: later lessons use it."


def mark(*files: str) -> str:
    """A digest of the newest file.py of each name: another one when the learner has changed what stands there."""
    newest = (learner.newest_code(file) for file in files)
    return hashlib.sha256(b"\0".join(one.read_bytes() if one else b"" for one in newest)).hexdigest()


def read(file: str, name: str) -> Any:
    """What the newest file.py calls `name`; or, as a str, the sentence that says why there is none."""
    newest = learner.newest_code(file)
    return _made_by(newest, name) if newest else f"You have no {name} of your own yet."


def _made_by(file: Path, name: str) -> Any:
    spec: Any = importlib.util.spec_from_file_location(file.stem.partition("-")[0], file)
    module: Any = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a learner's code may fail in any way
        return f"Your {file.name} stopped with {type(error).__name__}: {error}."
    return getattr(module, name, f"Your {file.name} holds nothing called {name}.")


def own(name: str, exercise: str, otherwise: Callable[..., Any]) -> Callable[..., Any]:
    """The learner's function `name`, kept when `exercise` was solved, or the course's; prints which of the two."""
    made = read(name, name)
    if isinstance(made, str):
        print(f"{made} The course's is used here; to use your own, solve exercise {exercise}.")
        return otherwise
    print(f"Your own {name} is used.")
    return made
