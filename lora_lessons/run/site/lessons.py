"""A notebook as a page: where its links lead, how its headings step down, what its cells show."""

from __future__ import annotations

import copy
import posixpath
import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from ...course.lesson import DEEPER
from ..repository import address
from . import glossary, numbers
from .outputs import Door, shown

if TYPE_CHECKING:
    from nbformat import NotebookNode

FOLDER = "lessons"  # of the pages that are notebooks
SYMPTOMS = "symptoms"  # the one page beside the notebooks that is no notebook
_CODE_OR_FORMULA = r"```.*?```|~~~.*?~~~|`[^`\n]+`|\$\$.*?\$\$|\$[^$\n]*\$"
_LINK = re.compile(rf"{_CODE_OR_FORMULA}|(?<=\]\()(?P<target>(?!\w+:|#)[^)\s#]+)(?P<anchor>#[^)\s]*)?(?=\))", re.DOTALL)
_BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\((?P<colab>[^)]*)\)")
_TO_THE_MAP = re.compile(r"(?<=\[)(?P<words>Map of the course|Course map)\]\([^)]*\)")
_HEADING = re.compile(r"#+(?= )")
_TIME = re.compile("⏱(?P<is>(?: is)?) ")  # a sign that many machines' fonts lack


def page(
    notebook: NotebookNode, place: str, places: Collection[str], measured: numbers.Measured | None = None
) -> NotebookNode:
    """The notebook at `place` as the source of its page; `places` are those that the site has, "symptoms" among them.

    With `measured`, it is of the report of a run that measured this.
    """
    from nbformat.v4 import new_markdown_cell

    made = copy.deepcopy(notebook)
    badge = _BADGE.search(made.cells[0].source) if made.cells else None
    door = Door(badge["colab"] if badge else "", posixpath.basename(f"{place}.ipynb"))
    outline, seen, quoted = Outline(), set[str](), set[str]()
    cells: list[NotebookNode] = []
    announced = False  # that what comes next is the answer
    for cell in made.cells:
        if cell.cell_type == "markdown":
            text = linked(cell.source, place, places)
            if measured is None:
                text = _of_the_site(text, "../" * (place.count("/") + 1))
            text = _TIME.sub(lambda sign: f"Time{sign['is'] or ':'} ", _BADGE.sub(r"[Open in Colab](\g<colab>)", text))
            text = numbers.linked(outline.stepped(text), place, measured, quoted)
            cell.source = glossary.hinted(text, seen, place)
            announced = cell.source.rstrip().endswith((":", "?"))
            cells.append(cell)
        else:
            cells += shown(cell, door, announced) if cell.cell_type == "code" else [cell]
            announced = announced and not cell.get("outputs")
    if trips := beneath(place, places):
        tree = "\n".join(["```{toctree}", ":hidden:", "", *trips, "```"])
        cells.append(new_markdown_cell(tree, id="side-trips"))
    made.cells = cells
    return made


def beneath(place: str, places: Collection[str]) -> list[str]:
    """The side trips that belong to the lesson at `place`; none to a side trip."""
    return [] if "/" in place else sorted(one for one in places if one.startswith(f"{DEEPER}/{place[:2]}_"))


def linked(markdown: str, place: str, places: Collection[str]) -> str:
    """Markdown of notebooks/`place` whose links into the repository lead to GitHub, unless the site has what they mean."""

    def lead(link: re.Match[str]) -> str:
        if link["target"] is None:
            return link[0]
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(place), link["target"]))
        if posixpath.splitext(inside)[0] in places:
            return link[0]
        target = posixpath.normpath(posixpath.join("notebooks", inside))
        return f"{address()}/blob/main/{target}{link['anchor'] or ''}"

    return _LINK.sub(lead, markdown)


def _of_the_site(markdown: str, up: str) -> str:
    """A cell of the course's own site, whose root is `up`: it is a recorded run, and there is a map of it."""

    def recorded(badge: re.Match[str]) -> str:
        return (
            "**You are reading a recorded run:** nothing is computed on this page. Where it says “run this cell”, “type” or “stop”, "
            f'do so [in Colab]({badge["colab"]}) or <a href="{up}index.html#where-to-start">in JupyterLab</a>.'
        )

    return _BADGE.sub(recorded, _TO_THE_MAP.sub(rf"\g<words>]({up}map.md)", markdown))


class Outline:
    """The headings of a page, which go down one level at a time: readers who hear a page move by them."""

    def __init__(self) -> None:
        self._last = 0

    def stepped(self, markdown: str) -> str:
        """The next cell, a heading raised where it lies two levels below the one before it."""
        lines, code = [], False
        for line in markdown.split("\n"):
            code ^= line.startswith(("~~~", "```"))
            if not code and (marks := _HEADING.match(line)):
                self._last = min(len(marks[0]), self._last + 1)
                line = "#" * self._last + line[marks.end() :]
            lines.append(line)
        return "\n".join(lines)
