"""How a lesson begins, the scorecard it closes with, what it leaves to its learner, and where the notebooks are."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..drawing import use_style
from ..outside import in_html, in_line
from ..paths import course_root
from . import learner
from .records import session_records, show_value

if TYPE_CHECKING:
    from ..evaluation import Scorecard


# Imported before a lesson imports PEFT, which imports bitsandbytes, which warns of a CPU kernel that is optional.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


DEEPER = "deeper"  # the folder of the side trips, in notebooks/


def lessons() -> list[Path]:
    """The lessons of the main path, in reading order."""
    return sorted((course_root() / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def side_trips() -> list[Path]:
    """What is deeper than the main path, by the number of the lesson that each belongs to. None is needed later."""
    return sorted((course_root() / "notebooks" / DEEPER).glob("[0-9][0-9]_*.ipynb"))


def notebook_of(stem: str) -> Path:
    """The lesson or side trip called `stem`. Raises FileNotFoundError where there is none."""
    for path in [*lessons(), *side_trips()]:
        if path.stem == stem:
            return path
    raise FileNotFoundError(f"no lesson and no side trip is called {stem}.")


def place_of(stem: str) -> str:
    """Where a notebook lies below notebooks/: "01_low_rank", "deeper/09_merging"."""
    return f"{DEEPER}/{stem}" if any(path.stem == stem for path in side_trips()) else stem


def number_of(stem: str) -> str:
    """The number of the lesson called `stem`, such as "05", or of the one that this side trip belongs to."""
    return stem[:2]


def question(path: Path) -> str:
    """A notebook's title without the number before it."""
    import nbformat

    title = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0].removeprefix("# ")
    return title.partition(" · ")[2] or title


def begin(lesson: str) -> None:
    """Set up a lesson's kernel: figure style, quiet libraries, repeatable randomness."""
    import torch

    use_style()
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.manual_seed(0)
    learner.begun = lesson
    print(f"{lesson}: ready.")


def scorecard(*shown: Scorecard | str | Mapping[str, str]) -> Any:
    """What this lesson trained, beside the base, and the records that carry its answer.

    A mapping {words: record} names each record in words, and shows these alone; a string names a record as it is, and
    then all others are folded away. Where none is named, all are shown. Raises KeyError for one that was not measured.
    """
    from IPython.display import HTML

    records = session_records()
    words = {name: said for one in shown if isinstance(one, Mapping) for said, name in one.items()}
    names = [one for one in shown if isinstance(one, str)] + list(words)
    if unknown := [name for name in names if name not in records]:
        raise KeyError(f"{unknown[0]} was not measured: run the cells above first.")
    rows = {r.name: (words.get(r.name, r.name), show_value(r.value), r.unit) for r in records.values()}
    head = ("in this lesson", "value", "unit")
    cards = [one for one in shown if not isinstance(one, (str, Mapping))]
    tables = [_table((f"{card.task}, quickly scored", "the base", "trained"), card.rows()) for card in cards]
    tables.append(_table(head, [rows.pop(name) for name in names or list(rows)], code=not words))
    if rows and not words:
        rest = _table(head, list(rows.values()), code=True)
        tables.append(f"<details><summary>Everything else that was measured</summary>{rest}</details>")
    return HTML("".join(tables))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], code: bool = False) -> str:
    """An HTML table; the first column may be set as code, the second is a number, on the right."""
    first = "<td><code>{}</code></td>" if code else "<td>{}</td>"
    shape = f"<tr>{first}<td style='text-align:right'>{{}}</td><td>{{}}</td></tr>"
    body = "".join(shape.format(*map(in_html, row)) for row in rows)
    return f"<table><tr>{''.join(f'<th>{in_html(name)}</th>' for name in head)}</tr>{body}</table>"


MIME = "application/vnd.lora-lessons.handover+json"


class Handover:
    """Lines that say what was made, where it is kept, and how to use it. The last expression of a cell shows them."""

    mime = MIME

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = list(map(in_line, lines))

    def __repr__(self) -> str:
        return "\n".join(self.lines)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {self.mime: self.lines, "text/html": f"<pre>{in_html(repr(self))}</pre>", "text/plain": repr(self)}


class Beforehand(Handover):
    """Lines that say what comes, such as its minutes: a run in a terminal shows them as soon as its lesson does."""

    mime = "application/vnd.lora-lessons.beforehand+json"
