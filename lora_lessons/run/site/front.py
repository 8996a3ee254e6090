"""The map of the lessons, and the order in which pages follow each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...course.lesson import DEEPER, notebook_of
from ...course.syllabus import SYLLABUS
from ..readme import took
from ..result import title
from .lessons import FOLDER, SYMPTOMS, beneath

if TYPE_CHECKING:
    from nbformat import NotebookNode

    Notebooks = Mapping[str, NotebookNode]

# What the sidebar calls pages with long titles.
_SHORT = {"claims": "Claims", f"{FOLDER}/{SYMPTOMS}": "Symptoms"}

NUMBERS = "numbers"  # the page, and the folder, of where numbers come from

_NUMBERS = """# Where the numbers come from

A number in a lesson is a link. It leads to its *record*: what was measured, on which machine, with which seeds, and what another run may give. Numbers
that others published lead to their source, and results of arithmetic to the arithmetic."""

_MAP = """# Map of the lessons

Each lesson answers one question. The minutes are computing time on two processor cores, as recorded; reading a lesson and doing its
exercises takes about half an hour. Side trips go deeper, and you can leave each of them out."""


def lesson_map(notebooks: Notebooks) -> str:
    """The map as MyST: each lesson's question, what it is good for, what its run took, and its side trips."""
    return "\n\n".join([_MAP, *(_on_the_map(place, notebooks) for place in notebooks if "/" not in place)])


def _on_the_map(place: str, notebooks: Notebooks) -> str:
    planned = SYLLABUS.get(place[:2])
    lines = [f"## [{title(notebooks[place])}]({FOLDER}/{place}.ipynb)", ""]
    if planned:
        lines += [f"Afterwards you can {planned.afterwards}.", ""]
    lines += [f"*{_taken(place)}{f'; {planned.besides}' if planned and planned.besides else ''}*", ""]
    for trip in beneath(place, notebooks):
        name = title(notebooks[trip]).partition(" · ")[2] or title(notebooks[trip])
        lines.append(f"- Side trip: [{name}]({FOLDER}/{trip}.ipynb) *({_taken(trip)})*")
    return "\n".join(lines)


def _taken(place: str) -> str:
    minutes, machine = took(notebook_of(Path(place).name))
    return f"{minutes} {'minute' if minutes == '1' else 'minutes'}, {machine}" if minutes.isdigit() else minutes


def numbers_of(pages: Mapping[str, str]) -> str:
    """The page that leads to each page of numbers, as MyST."""
    heads = {
        docname: text.partition("\n")[0].removeprefix("# Numbers of ").removeprefix("# ")
        for docname, text in pages.items()
    }
    listed = [f"- [{head[0].upper()}{head[1:]}]({docname}.md)" for docname, head in heads.items()]
    return "\n\n".join([_NUMBERS, "\n".join(listed), _tree("", pages)])


def trees(notebooks: Notebooks, beside: Iterable[str]) -> str:
    """The tables of contents that the sidebar shows: the lessons in order, and the pages `beside` them.

    Side trips are beneath their lessons; one without its lesson stands among them.
    """
    under = {trip for place in notebooks for trip in beneath(place, notebooks)}
    lessons = [f"{FOLDER}/{place}" for place in notebooks if place not in under]
    others = [
        f"{_SHORT[name]} <{name}>" if name in _SHORT else name
        for name in beside
        if not name.startswith(f"{NUMBERS}/") and name != "map"
    ]
    return "\n\n".join(
        [_tree("Lessons", [*(["map"] if "map" in beside else []), *lessons]), _tree("Look it up", others)]
    )


def _tree(caption: str, names: Iterable[str]) -> str:
    captioned = [f":caption: {caption}"] if caption else []
    return "\n".join(["```{toctree}", ":hidden:", *captioned, "", *names, "```"])


def neighbours(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Lead from lesson to lesson at the foot of a page: side trips are left to those who choose them (a Sphinx hook)."""
    relations, deeper = app.builder.relations, f"{FOLDER}/{DEEPER}/"
    for key, side in (("prev", 1), ("next", 2)):
        other = relations.get(pagename, [None] * 3)[side]
        while other and other.startswith(deeper):
            other = relations[other][side]
        context[key] = other and {
            "link": app.builder.get_relative_uri(pagename, other),
            "title": app.builder.render_partial(app.env.titles[other])["title"],
        }
