"""What a student handed in: the cell that answers each exercise, and the cells above it. No code is run here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from lora_lessons.course import earlier
from lora_lessons.course.lesson import lessons, side_trips
from lora_lessons.errors import in_words
from lora_lessons.run.notebooks import read_notebook

LARGEST, MOST = 20_000_000, 200  # bytes of a notebook, and notebooks of a student
_CHECK = re.compile(r"""^[ \t]*check\(\s*["'](?P<id>\d\d\.\d+)["']\s*,\s*(?P<name>\w+)\s*\)""", re.M)
_BEGUN = re.compile(r"""^begin\(["'](\w+)["']\)""", re.M)
_FOLDED = re.compile(r"^~~~python\n(.*?)^~~~", re.M | re.S)


class Answer(NamedTuple):
    """The cell that gives an exercise's check its answer, by its name, and the code cells above it."""

    id: str
    name: str
    cell: str
    above: list[str]
    notebook: str


class Damaged(NamedTuple):
    """A notebook that cannot be read, and why."""

    notebook: str
    why: str


@cache
def of_the_course() -> dict[str, tuple[Answer, list[str]]]:
    """The stub of each exercise as the course has it, and all code of its notebook, the folded one, too."""
    found: dict[str, tuple[Answer, list[str]]] = {}
    for path in [*lessons(), *side_trips()]:
        cells = read_notebook(path).cells
        folded = [code for cell in cells if cell.cell_type == "markdown" for code in _FOLDED.findall(cell.source)]
        code = [cell.source for cell in cells if cell.cell_type == "code"]
        found |= {one.id: (one, code + folded) for one in _answers(code, path.name)}
    return found


def handed_in(folder: Path) -> Iterator[Answer | Damaged]:
    """Every answer in a student's notebooks; those that are called as the course's come first."""
    ours = {path.name for path in [*lessons(), *side_trips()]}
    found = sorted(_notebooks(folder), key=lambda path: (path.name not in ours, path))
    for path in found[:MOST]:
        name = path.relative_to(folder).as_posix()
        try:
            if path.is_symlink() or path.stat().st_size > LARGEST:
                raise ValueError(f"it is a link, or has more than {LARGEST / 1e6:.0f} MB: ask for the notebook itself.")
            code = [cell.source for cell in read_notebook(path).cells if cell.cell_type == "code"]
        except OSError as error:
            yield Damaged(name, in_words(error))
        except ValueError as error:
            yield Damaged(name, str(error))
        else:
            begun = next(iter(_BEGUN.findall("\n".join(code))), "")
            for one in _answers(code, name):
                if why := earlier.refused(begun, one.id):
                    yield Damaged(name, why)
                    break
                yield one._replace(id=earlier.IN_0_3.get(begun, {}).get(one.id, one.id))


def _notebooks(folder: Path) -> Iterator[Path]:
    for place, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (Path(place, name) for name in names if name.endswith(".ipynb"))


def _answers(code: list[str], notebook: str) -> Iterator[Answer]:
    """The last cell of each exercise that calls its check."""
    last = {match["id"]: (match["name"], n) for n, cell in enumerate(code) for match in _CHECK.finditer(cell)}
    yield from (Answer(id, name, code[n], code[:n], notebook) for id, (name, n) in last.items())
