"""How much there is to think with, held to the limits of pyproject.toml's `[tool.budget]`: `python -m workshop budget`.

A statement is a node of Python's own syntax tree. A docstring is the one statement that it is, so its length costs
nothing, and neither do blank lines, comments and long words.
"""

from __future__ import annotations

import ast
import json
import os
import tomllib
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

DOORS = ("lora_lessons", "lora_tools", "workshop", "tests")
ELSEWHERE, SUM = "elsewhere", "sum"  # Python beside the doors, and all of it, so that a move is no saving
CELLS, SCRIPTS, TABLES = "hidden_cells", "javascript", "toml"  # in lines
HIDDEN = {"remove-cell", "remove-input", "hide-cell", "hide-input"}
LOOSE, LARGEST = 200, 8  # a limit so far above what it limits is to be lowered; files that a refusal names

Counts = dict[str, Counter[str]]


def files(root: Path) -> Iterator[Path]:
    """Every file of the house; what .gitignore names as folders, git's own and other environments are none of it."""
    ignored = (root / ".gitignore").read_text(encoding="utf-8").split() if (root / ".gitignore").is_file() else []
    patterns = [one if one.startswith("/") else f"*/{one}" for one in [*ignored, ".git/"] if one.endswith("/")]
    for folder, below, names in os.walk(root):
        at = Path(folder)
        below[:] = [
            name
            for name in below
            if not any(fnmatch(f"/{(at / name).relative_to(root).as_posix()}/", pattern) for pattern in patterns)
            and not (at / name / "pyvenv.cfg").is_file()
        ]
        yield from (at / name for name in names)


def count(root: Path) -> Counts:
    """What each file adds to each row."""
    rows: Counts = {row: Counter() for row in (*DOORS, ELSEWHERE, SUM, CELLS, SCRIPTS, TABLES)}
    for path in files(root):
        name, door = path.relative_to(root).as_posix(), path.relative_to(root).parts[0]
        if path.suffix == ".py":
            statements = sum(isinstance(node, ast.stmt) for node in ast.walk(ast.parse(path.read_bytes())))
            rows[door if door in DOORS else ELSEWHERE][name] = rows[SUM][name] = statements
        elif path.suffix == ".ipynb" and door == "notebooks":
            rows[CELLS][name] = sum(
                len("".join(cell["source"]).splitlines())
                for cell in json.loads(path.read_bytes())["cells"]
                if cell["cell_type"] == "code" and HIDDEN & {*cell["metadata"].get("tags", ())}
            )
        elif row := {".js": SCRIPTS, ".toml": TABLES}.get(path.suffix):
            rows[row][name] = len(path.read_bytes().splitlines())
    return rows


def judged(root: Path) -> tuple[list[str], list[str]]:
    """What is over its limit, with the files that hold most of it; and which limits are to be lowered."""
    limits = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["budget"]
    over, loose = [], []
    for row, found in count(root).items():
        much, limit = found.total(), limits.get(row, 0)
        if much > limit:
            most = "".join(f"\n  {n:6,} {name}" for name, n in found.most_common(LARGEST))
            over.append(f"{row}: {much:,}, {much - limit:,} over its {limit:,}. Most of it:{most}")
        elif limit - much > LOOSE:
            loose.append(f"{row}: {much:,}, {limit - much:,} under its {limit:,}: lower the limit in pyproject.toml.")
    return over, loose
