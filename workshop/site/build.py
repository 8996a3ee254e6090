"""The site: sources in a temporary folder, Sphinx over them, and the whole folder in its place, or nothing."""

from __future__ import annotations

import importlib.util
import io
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lora_lessons.course import lesson
from lora_lessons.errors import disk_is_full
from lora_lessons.files import check_replaced, files_in, scratch, whole_folder

from . import claims_page, front, glossary, lessons, llms, number_pages, papers_page, teacher_page, tools_page
from . import widgets as live
from .alive import doors, library
from .alive.supply import Supply, furnish
from .finishing import finish
from .front import neighbours
from .lessons import FOLDER, SYMPTOMS, page
from .settings import CONF

if TYPE_CHECKING:
    from nbformat import NotebookNode

    Notebooks = Mapping[str, NotebookNode]


def stored() -> dict[str, NotebookNode]:
    """Every lesson and side trip as it is stored, by place: "01_low_rank", "deeper/06_never_rounded"."""
    import nbformat

    return {
        lesson.place_of(path.stem): nbformat.read(path, as_version=4)
        for path in [*lesson.lessons(), *lesson.side_trips()]
    }


def write_site(
    notebooks: Notebooks,
    out: Path,
    *,
    widgets: bool = True,
    alive: bool = False,
    progress: Callable[[str], None] = print,
) -> Path:
    """Write the site of these notebooks (by place) into the folder `out`, and return its index.html.

    Without `widgets`, their stills are shown alone. With `alive`, a visitor can wake the model in the browser: npm
    fetches what runs it, and the site grows by about 140 MB.

    Raises ValueError where the extra `site` is missing, where Sphinx has something to complain of and where npm cannot
    fetch what it should, and OSError where no site may go to `out` (see `place`); what was there is then as it was.
    """
    check_extra()
    check_place(out)
    if alive:
        library.check_client()
    progress(f"{len(notebooks)} {'notebooks become pages' if len(notebooks) > 1 else 'notebook becomes a page'} …")
    with scratch("site") as work, site_folder(out) as site:
        supply = furnish(site / doors.PLACE, progress) if alive else None
        render(sources(notebooks, widgets, supply), work, site)
        finish(site)
        (site / llms.NAME).write_text(llms.text(notebooks), encoding="utf-8", newline="\n")
        if widgets:
            live.bake(site / "_static" / "widgets", progress=progress)
    return out / "index.html"


def sources(notebooks: Notebooks, widgets: bool = True, supply: Supply | None = None) -> dict[str, str]:
    """The text of every source file, by its path: the lessons' pages, and those beside them; with a `supply`,
    live doors."""
    import nbformat

    here = [*notebooks, SYMPTOMS]
    pages = {
        place: page(live.placed(notebook, place) if widgets else notebook, place, here)
        for place, notebook in notebooks.items()
    }
    if supply:
        pages = {place: doors.placed(one, place, supply) for place, one in pages.items()}
    made = {f"{FOLDER}/{place}.ipynb": nbformat.writes(one) for place, one in pages.items()}
    numbers = number_pages.pages(notebooks)
    beside = {
        "map": front.lesson_map(notebooks),
        "claims": claims_page.page(),
        "papers": papers_page.page(),
        f"{FOLDER}/{SYMPTOMS}": lessons.symptoms_page(notebooks),
        "tools": tools_page.page(),
        "teacher": teacher_page.page(notebooks),
        "glossary": glossary.page(),
        front.NUMBERS: front.numbers_of(numbers),
        # found by name alone: their names of records would stand above the lessons in every search
        **{name: f"---\nnosearch: true\n---\n\n{text}" for name, text in numbers.items()},
    }
    beside["index"] = (
        f"{front.page(notebooks, widgets, doors.markup(doors.FRONT, supply) if supply else '')}\n\n"
        f"{front.trees(notebooks, beside)}"
    )
    return made | {f"{docname}.md": f"{text}\n" for docname, text in beside.items()}


def render(texts: Mapping[str, str], work: Path, site: Path) -> None:
    """Let Sphinx make pages of these sources, by path, and put them into the folder `site`; `work` is for its own use.

    Raises ValueError with Sphinx's first complaint: a warning is a fault.
    """
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    source, complaints = work / "source", io.StringIO()
    for name, text in {**texts, **CONF}.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    try:
        with patch_docutils(), docutils_namespace():
            app = Sphinx(
                source, source, work / "html", work / "trees", "html", status=None, warning=complaints, freshenv=True
            )
            app.connect("html-page-context", neighbours)
            app.build()
    except (SphinxError, ValueError) as error:
        raise ValueError(f"the site was not written. {error}") from error
    faults = [line for line in re.sub(r"\x1b\[[\d;]*m", "", complaints.getvalue()).splitlines() if line.strip()]
    if faults:
        first = faults[0].replace(f"{source}/", "")
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise ValueError(f"the site was not written, because of this{more}: {first}")
    # not at once: myst-nb writes a folder of its own beside the one that Sphinx is given
    shutil.copytree(work / "html", site, dirs_exist_ok=True)


MARKER = ".made-by-lora-lessons"
# What the extra `site` brings, as it is imported.
LIBRARIES = ("sphinx", "myst_nb", "furo", "latex2mathml")


def missing() -> list[str]:
    """The libraries of the extra `site` that are not installed."""
    return [name for name in LIBRARIES if importlib.util.find_spec(name) is None]


def check_extra() -> None:
    """Raise ValueError, which says how to get them, where a library that builds pages is not installed."""
    if lacking := missing():
        raise ValueError(
            f"web pages need {' and '.join(lacking)}, not installed here: pip install 'lora-lessons[site]'."
        )


def check_place(out: Path) -> None:
    """Raise OSError where no site may go to `out`, before any work.

    It is a file, may not be written to, or is a folder with files in it that no site brought.
    """
    out, ours = out.resolve(), {MARKER}
    with suppress(FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        ours.update((out / MARKER).read_text(encoding="utf-8").splitlines())
    check_replaced(out, ours, by="site")


@contextmanager
def site_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder to write a site into; when the block ends without an error, it takes the place of `out`.

    Raises what `check_place` raises, before the block and again after it, and OSError naming `out` when the disk is
    full, also where a library has wrapped that error in one of its own.
    """
    out = out.resolve()
    check_place(out)
    try:
        with whole_folder(out) as temporary:
            yield temporary
            (temporary / MARKER).write_text(
                "".join(f"{name}\n" for name in sorted(files_in(temporary))), encoding="utf-8"
            )
            # building took a while, in which somebody may have put something there
            check_place(out)
    except Exception as error:
        if full := next((one for one in _causes(error) if isinstance(one, OSError) and disk_is_full(one)), None):
            raise OSError(full.errno, full.strerror, str(out)) from error
        raise


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
