"""A notebook as a page: what is hidden, what is folded, where its links lead."""

from __future__ import annotations

import copy
import html
import posixpath
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from ...course.lesson import DEEPER
from ...course.records import MIME as RECORDS
from ..repository import address
from . import glossary, numbers, widgets

if TYPE_CHECKING:
    from nbformat import NotebookNode

FOLDER = "lessons"  # of the pages that are notebooks
_SHOWN = ("image/png", "text/html", "text/markdown", "text/plain")
_LINK = re.compile(r"(?<=\]\()(?P<target>(?!\w+:|#)[^)\s#]+)(?P<anchor>#[^)\s]*)?(?=\))")
_BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\((?P<colab>[^)]*)\)")
_HEADING = re.compile(r"^(#+)(?= )")


def page(notebook: NotebookNode, place: str, all_places: Collection[str]) -> NotebookNode:
    """The notebook at `place` as the source of its page; `all_places` are the notebooks that the site has."""
    made = widgets.placed(copy.deepcopy(notebook), place)
    seen: set[str] = set()
    levels = _Levels()
    for cell in made.cells:
        if cell.cell_type == "markdown":
            text = levels.stepped(_BADGE.sub(r"[Open in Colab](\g<colab>)", cell.source))
            text = numbers.linked(_linked(text, place, all_places), place)
            cell.source = glossary.hinted(text, seen, place)
        elif cell.cell_type == "code":
            _show(cell, place)
    beneath = [other for other in sorted(all_places) if other.startswith(f"{DEEPER}/{place[:2]}_")]
    if beneath and "/" not in place:
        from nbformat.v4 import new_markdown_cell

        tree = "\n".join(["```{toctree}", ":hidden:", "", *beneath, "```"])
        made.cells.append(new_markdown_cell(tree, id="side-trips"))
    return made


def _linked(markdown: str, place: str, all_places: Collection[str]) -> str:
    """Markdown whose links into the repository lead to GitHub, unless the site has what they mean."""

    def lead(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("notebooks", posixpath.dirname(place), link["target"]))
        inside = target.removeprefix("notebooks/")
        if inside == "symptoms.md" or inside.removesuffix(".ipynb") in all_places:
            return link[0]
        return f"{address()}/blob/main/{target}{link['anchor'] or ''}"

    return _LINK.sub(lead, markdown)


class _Levels:
    """Headings that go down one level at a time, as an outline must."""

    def __init__(self) -> None:
        self.last = 0

    def stepped(self, markdown: str) -> str:
        """The cell with a heading of level 3 raised to 2 where it follows one of level 1."""
        lines, in_code = [], False
        for line in markdown.split("\n"):
            in_code ^= line.startswith(("~~~", "```"))
            heading = None if in_code else _HEADING.match(line)
            if heading:
                level = min(len(heading[1]), self.last + 1)
                line, self.last = "#" * level + line[len(heading[1]) :], level
            lines.append(line)
        return "\n".join(lines)


def _show(cell: NotebookNode, place: str) -> None:
    """Leave of a code cell's outputs what a page shows."""
    for output in cell.outputs:
        if "data" in output:
            data = output.data
            if RECORDS in data and "text/html" in data:
                data["text/html"] = _folded_records(data["text/html"], len(data[RECORDS]))
            if "text/html" in data:
                data["text/html"] = _as_pages(data["text/html"])
            output.data = {kind: data[kind] for kind in _SHOWN if kind in data}
            picture = output.get("metadata", {}).get("image/png", {})
            if picture:
                cell.metadata["mystnb"] = {"image": _image(picture)}


def _image(picture: dict[str, Any]) -> dict[str, str]:
    return {"alt": picture.get("alt", ""), "width": f"{picture['width']}px"}


def _folded_records(table: str, count: int) -> str:
    what = f"{count} recorded measurements" if count > 1 else "1 recorded measurement"
    return f"<details class='records'><summary>{what}</summary>{table}</details>"


def _as_pages(shown: str) -> str:
    """HTML of an output whose links to notebooks lead to their pages."""
    return re.sub(r"(href=['\"])([\w/.-]+)\.ipynb(?=['\"#])", lambda m: f"{m[1]}{html.escape(m[2])}.html", shown)
