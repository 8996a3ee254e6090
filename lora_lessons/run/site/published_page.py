"""The page of what others published: each figure under its source, with the lessons that quote it."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...course import published
from ...course.lesson import place_of
from ...course.prose import Quoted, quoted_numbers
from ...course.published import as_printed
from .tables import code, link, table
from .where import anchor_of, where

if TYPE_CHECKING:
    from nbformat import NotebookNode


def published_page(notebooks: Mapping[str, NotebookNode]) -> str:
    quoting: dict[str, list[str]] = {}
    for stem, notebook in notebooks.items():
        for one in quotes(notebook):
            if one.kind == "published" and stem not in (known := quoting.setdefault(where(one, stem).anchor, [])):
                known.append(stem)
    figures = published.figures()
    groups = {row: published.group_of(row) for row in figures}
    tables = []
    for group, about in published.groups().items():
        mine = {row: value for row, value in figures.items() if groups[row] == group}
        source = html.escape(about["source"])
        caption = link(about["url"], source) if "url" in about else source
        rows = [_figure_row(group, row, value, quoting.get(anchor_of(row), [])) for row, value in mine.items()]
        tables.append(table(("figure", "as it was printed", "quoted by"), rows, caption))
    return "\n\n".join(["# Figures that others published", _PUBLISHED, *tables])


_PUBLISHED = (
    "The course did not measure these figures: it quotes them, so that you can hold what the lessons measured against them. "
    "Each stands here as it was printed, under its source."
)


def _figure_row(group: str, row: str, value: Any, stems: list[str]) -> tuple[str, ...]:
    lessons = ", ".join(lesson_link(stem, _short(stem)) for stem in stems) or "no lesson's prose"
    return code(row.removeprefix(f"{group}."), anchor_of(row)), as_printed(value), lessons


def _short(stem: str) -> str:
    return f"lesson {stem[:2]}" if "/" not in place_of(stem) else f"side trip of lesson {stem[:2]}"


def quotes(notebook: NotebookNode) -> list[Quoted]:
    """Every bound number in a notebook's prose."""
    return [one for cell in notebook.cells if cell.cell_type == "markdown" for one in quoted_numbers(cell.source)]


def lesson_link(stem: str, words: str, anchor: str = "") -> str:
    return link(f"../lessons/{place_of(stem)}.html{anchor}", html.escape(words))
