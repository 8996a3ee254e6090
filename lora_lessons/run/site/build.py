"""The site: sources in a temporary folder, Sphinx over them, and the whole folder in its place, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...course import lesson
from ...files import scratch
from . import cover as front_page
from . import front, glossary, ledger, loose_ends, numbers, symptoms
from . import widgets as live
from .finishing import finish
from .lessons import FOLDER, SYMPTOMS, page
from .place import check_extra, check_place, site_folder
from .rendering import render

if TYPE_CHECKING:
    from nbformat import NotebookNode

    Notebooks = Mapping[str, NotebookNode]


def stored() -> dict[str, NotebookNode]:
    """Every lesson and side trip as it is stored, by place: "01_low_rank", "deeper/01_the_bases_own_grid"."""
    import nbformat

    return {
        lesson.place_of(path.stem): nbformat.read(path, as_version=4)
        for path in [*lesson.lessons(), *lesson.side_trips()]
    }


def write_site(
    notebooks: Notebooks,
    out: Path,
    *,
    cover: str = "",
    pages: Mapping[str, str] = {},
    widgets: bool = True,
    measured: numbers.Measured | None = None,
    progress: Callable[[str], None] = print,
) -> Path:
    """Write the site of these notebooks (by place) into the folder `out`, and return its index.html.

    `cover` is MyST for the first page in place of the front page; `pages` are further pages, docname → MyST. Without
    `widgets`, their stills are shown alone. With `measured`, the site is the report of a run that measured this: numbers
    lead to that, too, widgets move where the run's own outputs have their scenes, the pages about the whole course are
    left out, and whatever Sphinx complains of is shown as well as it can be, such as a learner's own formula.

    Raises ValueError where the extra `site` is missing and where Sphinx has something to complain of, and OSError where
    no site may go to `out` (see `place`); what was there is then as it was.
    """
    check_extra()
    check_place(out)
    progress(f"{len(notebooks)} {'notebooks become pages' if len(notebooks) > 1 else 'notebook becomes a page'} …")
    with scratch("site") as work, site_folder(out) as site:
        render(sources(notebooks, cover, pages, widgets, measured), work, site, strict=measured is None)
        if measured is not None:
            loose_ends.tie(site)
        finish(site)
        if widgets:
            live.bake(site / "_static" / "widgets", None if measured is None else (), progress)
    return out / "index.html"


def sources(
    notebooks: Notebooks,
    cover: str = "",
    pages: Mapping[str, str] = {},
    widgets: bool = True,
    measured: numbers.Measured | None = None,
) -> dict[str, str]:
    """The text of every source file, by its path: the lessons' pages, and those beside them."""
    import nbformat

    here = [*notebooks, *([SYMPTOMS] if measured is None else [])]
    made = {
        f"{FOLDER}/{place}.ipynb": nbformat.writes(
            page(live.placed(notebook, place, baked=measured is None) if widgets else notebook, place, here, measured)
        )
        for place, notebook in notebooks.items()
    }
    beside = {} if measured is not None else _of_the_course(notebooks)
    beside |= {"glossary": glossary.page(), **_numbers(notebooks, measured), **pages}
    beside["index"] = f"{cover or front_page.page(notebooks, widgets)}\n\n{front.trees(notebooks, beside)}"
    return made | {f"{docname}.md": f"{text}\n" for docname, text in beside.items()}


def _of_the_course(notebooks: Notebooks) -> dict[str, str]:
    """The pages that tell of the whole course."""
    return {
        "map": front.lesson_map(notebooks),
        "claims": ledger.page(),
        f"{FOLDER}/{SYMPTOMS}": symptoms.page(notebooks),
    }


def _numbers(notebooks: Notebooks, measured: numbers.Measured | None) -> dict[str, str]:
    made = numbers.pages(notebooks, measured)
    # found by name alone: their names of records would stand above the lessons in every search
    return {front.NUMBERS: front.numbers_of(made)} | {
        name: f"---\nnosearch: true\n---\n\n{text}" for name, text in made.items()
    }
