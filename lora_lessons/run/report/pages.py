"""The report of a run as pages: a cover, and every lesson as it ran, with its pictures and its records beside their bands.

The site's own renderer writes them. A widget moves where this run kept its scenes; the others are the pictures that this
run made, because baking them would take longer than most runs, and would show what this run has not measured.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...course.lesson import place_of
from ...files import write_text
from ...outside import in_attribute
from ..earlier import PAGE, PAGES, alone_in, read_report
from ..stored import as_stored
from .parts import is_bad, outcome, parts, record_rows, shown, style
from .written import as_html

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from ..result import LessonResult


def write_pages(out: Path) -> Path:
    """Write the report in `out` as pages, let report.html link to them, and return the cover.

    They are written whole or not at all. Raises ValueError where there is no report, or where the extra `site` is not
    installed, and whatever Sphinx raises.
    """
    from ..site.build import write_site

    with alone_in(out):
        about, results = read_report(out)
        measured = {result.lesson: result.records for result in results}
        ran = {place_of(result.lesson): lesson_page(result, about) for result in results if result.notebook}
        index = write_site(ran, out / PAGES, cover=cover(results, about), measured=measured, progress=_quiet)
        write_text(out / PAGE, as_html(results, about, pages=f"{PAGES}/"))
    return index


def _quiet(line: str) -> None:
    """A run has said enough."""


def cover(results: Sequence[LessonResult], about: Mapping[str, Any]) -> str:
    """The first page, as MyST: the outcome, what failed first, the claims, the lessons."""
    said = [f"# What ran here\n\n{raw(f'<style>{style()}</style>')}\n\n{raw(_paragraph(outcome(results), 'outcome'))}"]
    for heading, html in parts(results, about, notebooks="../", pages=""):
        said.append((f"## {heading}\n\n" if heading else "") + raw(html))
    return "\n\n".join(said) + "\n"


def lesson_page(result: LessonResult, about: Mapping[str, Any]) -> NotebookNode:
    """The notebook as it ran, saying at its head how it went, and at its end what it recorded."""
    from nbformat.v4 import new_markdown_cell

    made = copy.deepcopy(result.notebook)
    assert made is not None
    made.cells = [cell for cell in made.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.outputs = as_stored(cell.outputs)
    day = (result.kept_from or about["date"]).partition("T")[0]
    went = f"As it ran on {day}, in {result.seconds:.0f} s: {result.status}."
    bad = shown("bad")({"result": result}) if is_bad(result) else ""
    head = f"<style>{style()}</style>{_paragraph(went, 'quiet')}{bad}"
    made.cells.insert(1, new_markdown_cell(raw(head), metadata={"tags": [OF_THE_RUN]}))
    if rows := list(record_rows(result)):
        table = raw(shown("records")(rows, result.baseline))
        made.cells.append(new_markdown_cell(f"## What this run measured\n\n{table}", metadata={"tags": [OF_THE_RUN]}))
    return made


# The tag of a cell that the report adds to a lesson.
OF_THE_RUN = "of-the-run"


def raw(html: str) -> str:
    """`html` as MyST, left alone whatever it says: fenced by more backticks than it holds in a row."""
    fence = "`" * max(3, 1 + max((len(ticks) for ticks in re.findall("`+", html)), default=0))
    return f"{fence}{{raw}} html\n{html}\n{fence}"


def _paragraph(words: str, kind: str) -> str:
    return f'<p class="{kind}">{in_attribute(words)}</p>'
