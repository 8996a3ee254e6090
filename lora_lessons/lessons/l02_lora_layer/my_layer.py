"""The learner's own layer: where it stands in their notebook, and how it is kept for lesson 03."""

from __future__ import annotations

import ast
import linecache
from typing import Any

from ...course import learner
from ...course.exercises import judge

NAME, EXERCISE = "my_lora", "02.1"
IMPORTS = "import math\n\nimport torch\nfrom torch import Tensor, nn\n"


def source_of(cls: type) -> str:
    """The lines that define `cls`, also in a notebook's cell. Raises OSError when they cannot be found."""
    for one in vars(cls).values():
        if code := getattr(one, "__code__", None):
            text = "".join(linecache.getlines(code.co_filename))
            nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ClassDef) and n.name == cls.__name__]
            if found := [n for n in nodes if n.lineno <= code.co_firstlineno <= (n.end_lineno or 0)]:
                return (ast.get_source_segment(text, found[-1]) or "") + "\n"
    raise OSError(f"the source of {cls.__name__} is not to be found")


def keep_my_lora(cls: type) -> None:
    """Keep the learner's class beside their progress, once the check calls it right; say what happened.

    What is kept begins with its imports, so that it runs alone.
    """
    state, _ = judge(EXERCISE, cls)
    if state != "solved":
        print("Not kept yet: when the check above says “Correct”, run this cell again.")
        return
    try:
        source = f"{IMPORTS}\n\n{source_of(cls)}"
        alone: dict[str, Any] = {"__name__": NAME}
        exec(compile(source, NAME, "exec"), alone)
        state, sentence = judge(EXERCISE, alone[cls.__name__])
    except Exception as error:  # a learner's code may fail in any way
        state, sentence = "not yet", f"{type(error).__name__}: {error}"
    if state != "solved":
        print(f"Your layer is right, but it needs something else from this notebook, so it is not kept. {sentence}")
        return
    try:
        learner.keep_code(NAME, source)
    except OSError as error:
        why = error.strerror or error
        print(f"Your layer is right, but it could not be kept ({why}), so lesson 03 will train the course's.")
        return
    print("Kept. In lesson 03 you can train your own layer.")
