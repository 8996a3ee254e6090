"""Which notebooks a run means, what parameters they have, and how they are read."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import errors, files
from ..course import earlier
from ..course.lesson import DEEPER, side_trips
from ..course.lesson import lessons as course_lessons

if TYPE_CHECKING:
    from nbformat import NotebookNode


def find_lessons(names: Sequence[str]) -> list[Path]:
    """The notebooks that `names` mean: a lesson's number such as 3 or 03, a stem, a side trip (deeper/03_x), or a path.
    What a name or a number meant in 0.3 is said on stderr; one that means nothing else means that.

    No names mean all lessons, then all side trips. Raises FileNotFoundError naming the nearest lesson.
    """
    if not names:
        return [*course_lessons(), *side_trips()]
    return [_find(name) for name in names]


def _find(name: str) -> Path:
    if Path(name).suffix == ".ipynb":
        if Path(name).is_file():
            return Path(name).resolve()
        raise FileNotFoundError(f"{name} does not exist: give a notebook's path, a lesson's name, or its number.")
    main = {path.stem: path for path in course_lessons()}
    asked, was = name, next(earlier.renamed(name), None)
    deeper = {path.stem: path for path in side_trips()}
    if name.startswith(f"{DEEPER}/"):
        main, name = {}, name.removeprefix(f"{DEEPER}/")
    known = main | deeper
    number = int(name) if re.fullmatch(r"[0-9]{1,4}", name) else None
    hits = [stem for stem in main if int(stem[:2]) == number] or [stem for stem in known if stem == name]
    today = was[1].removeprefix(f"{DEEPER}/") if was else ""
    if was and today in known:
        print(f"Since 0.4 {was[0]} is {was[1]}{f', and {asked} is {hits[0]}' if hits else ''}.", file=sys.stderr)
        hits = hits or [today]
    if hits and hits[0] in known:
        return known[hits[0]]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"Did you mean {near[0]}?" if near else f"The lessons are {', '.join(known) or 'not here yet'}."
    raise FileNotFoundError(f"no lesson is called {name!r}. {hint}")


def check_parameters(lessons: Sequence[Path], parameters: Mapping[str, Any]) -> None:
    """Raise ValueError for a parameter that none of `lessons` has in its parameters cell, naming those that exist."""
    if not parameters:
        return
    books = [book for lesson in lessons if (book := _readable(lesson))]
    exist = {name: None for book in books for name in parameters_of(book)}
    for name in parameters if books else ():
        if name not in exist:
            which = lessons[0].stem if len(lessons) == 1 else "any of these lessons"
            raise ValueError(f"{name!r} is not a parameter of {which}; there are: {', '.join(exist) or 'none'}.")


def _readable(lesson: Path) -> NotebookNode | None:
    try:
        return read_notebook(lesson)
    except (PermissionError, ValueError):
        return None  # its own run reports it


def read_notebook(path: Path) -> NotebookNode:
    """A notebook as an nbformat 4 node. Raises ValueError with one sentence when the file is not one."""
    import nbformat

    # NameError: what nbformat's way from old formats to new ones ends in when there are cells of no kind
    files.check_readable(path)
    damage = (OSError, ValueError, LookupError, TypeError, AttributeError, NameError, AssertionError, RecursionError)
    try:
        notebook = nbformat.read(path, as_version=4)
        _check_cells(notebook)
    except (*damage, nbformat.ValidationError) as error:
        why = errors.first_line(error)[:120]
        raise ValueError(
            f"{path.name} is not a readable notebook ({why}): restore it, or save it again in Jupyter."
        ) from error
    return notebook


def _check_cells(notebook: NotebookNode) -> None:
    """Raise ValueError, naming the cell, unless each is built as a cell is."""
    if not isinstance(notebook.cells, list) or not isinstance(notebook.metadata, dict):
        raise ValueError("it has no list of cells")
    if not isinstance(notebook.get("nbformat_minor"), int):
        raise ValueError("it does not say its nbformat_minor")
    for number, cell in enumerate(notebook.cells, 1):
        kinds = {"cell_type": str, "source": str, "metadata": dict}
        kinds |= {"outputs": list} if cell.get("cell_type") == "code" else {}
        if wrong := [name for name, kind in kinds.items() if not isinstance(cell.get(name), kind)]:
            raise ValueError(f"cell {number} has no {wrong[0]} as cells have")
        tags, outputs = cell.metadata.get("tags", []), cell.get("outputs", [])
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise ValueError(f"the tags of cell {number} are no list of words")
        if not all(map(_is_output, outputs)):
            raise ValueError(f"an output of cell {number} is none")


def _is_output(one: Any) -> bool:
    """Whether an output is built as outputs are; of what it shows, only the words and the pictures are looked at."""
    if not isinstance(one, dict) or not isinstance(one.get("output_type"), str):
        return False
    if one["output_type"] == "stream":
        return isinstance(one.get("text"), str) and isinstance(one.get("name"), str)
    data = one.get("data", {})
    if not isinstance(data, dict) or not isinstance(one.get("metadata", {}), dict):
        return False
    return all(isinstance(value, str) for kind, value in data.items() if not kind.endswith("json"))


def parameters_of(notebook: NotebookNode | None) -> dict[str, Any]:
    """The parameters in the cell tagged `parameters`, by name, as papermill reads them."""
    if notebook is None:
        return {}
    from papermill.inspection import _infer_parameters
    from papermill.iorw import load_notebook_node

    return {p.name: p.default for p in _infer_parameters(load_notebook_node(notebook), "python3", "python")}


def first_line(source: str) -> str:
    """The first line of a cell that says something."""
    return next((line.strip() for line in source.splitlines() if line.strip()), "")
