"""The site: sources in a temporary folder, Sphinx over them, and the whole folder in its place, or nothing."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...course.lesson import DEEPER, lessons, side_trips
from ...paths import course_root
from . import front, glossary, ledger, numbers
from . import lessons as lesson_pages
from . import widgets as live
from .finishing import finish
from .place import check_extra, check_place, site_folder
from .settings import CONF

if TYPE_CHECKING:
    from nbformat import NotebookNode


def stored() -> dict[str, NotebookNode]:
    """Every lesson and side trip as it is stored, by place: "01_low_rank", "deeper/01_the_bases_own_grid"."""
    import nbformat

    main = {path.stem: path for path in lessons()}
    deeper = {f"{DEEPER}/{path.stem}": path for path in side_trips()}
    return {place: nbformat.read(path, as_version=4) for place, path in (main | deeper).items()}


def write_site(
    notebooks: Mapping[str, NotebookNode],
    out: Path,
    *,
    cover: str = "",
    pages: Mapping[str, str] = {},
    widgets: bool = True,
    progress: Callable[[str], None] = print,
) -> Path:
    """Write the site of these notebooks (by place) into the folder `out`, and return its index.html.

    `cover` is MyST for the first page in place of the front page; `pages` are further pages, docname → MyST. Without
    `widgets`, their stills are shown alone. Raises ValueError where the extra `site` is missing or Sphinx has something
    to complain of, and OSError where `out` is no place for a site; what was there is then as it was.
    """
    check_extra()
    check_place(out)
    with tempfile.TemporaryDirectory(prefix="lora-lessons-site-") as temporary, site_folder(out) as site:
        source = Path(temporary, "source")
        _write_sources(source, sources(notebooks, cover, pages) | CONF)
        progress(f"{len(notebooks)} {'notebooks become pages' if len(notebooks) > 1 else 'notebook becomes a page'} …")
        _run_sphinx(source, site, Path(temporary, "doctrees"))
        finish(site)
        if widgets:
            live.bake(site / "_static" / "widgets", None, progress)
    return out / "index.html"


def sources(notebooks: Mapping[str, NotebookNode], cover: str = "", pages: Mapping[str, str] = {}) -> dict[str, str]:
    """The text of every source file, by its path: the lessons' pages, and those beside them."""
    import nbformat

    made = {
        f"{lesson_pages.FOLDER}/{place}.ipynb": nbformat.writes(lesson_pages.page(notebook, place, notebooks))
        for place, notebook in notebooks.items()
    }
    beside = {
        "map": front.lesson_map(notebooks),
        "claims": ledger.page(),
        f"{lesson_pages.FOLDER}/symptoms": _symptoms(notebooks),
        "glossary": glossary.page(),
        **numbers.pages(),
        **pages,
    }
    beside["index"] = f"{cover or front.page(notebooks)}\n\n{front.trees(notebooks, beside)}"
    return made | {f"{docname}.md": f"{text}\n" for docname, text in beside.items()}


def _symptoms(notebooks: Mapping[str, NotebookNode]) -> str:
    """notebooks/symptoms.md, its anchors as Sphinx knows them."""
    text = (course_root() / "notebooks" / lesson_pages.SYMPTOMS).read_text(encoding="utf-8")
    return lesson_pages.linked(re.sub(r'^<a id="([\w-]+)"></a>$', r"(\1)=", text, flags=re.M), "symptoms", notebooks)


def _write_sources(folder: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def _run_sphinx(source: Path, site: Path, doctrees: Path) -> None:
    """Let Sphinx write the pages. Raises ValueError with its first complaint where it has any: a warning is a fault."""
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    said = io.StringIO()
    try:
        with patch_docutils(), docutils_namespace():
            app = Sphinx(source, source, site, doctrees, "html", status=None, warning=said, freshenv=True)
            app.connect("html-page-context", front.neighbours)
            app.build()
    except SphinxError as error:
        raise ValueError(f"the site was not written. {error}") from error
    complaints = [line for line in re.sub(r"\x1b\[[\d;]*m", "", said.getvalue()).splitlines() if line.strip()]
    if complaints:
        first = complaints[0].replace(f"{source}/", "")
        raise ValueError(f"the site was not written, since Sphinx found {len(complaints)} faults. The first: {first}")
