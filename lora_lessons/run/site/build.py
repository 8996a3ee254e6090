"""The site: sources in a temporary folder, Sphinx over them, and the whole folder in its place, or nothing."""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...course.lesson import DEEPER, lessons, side_trips
from ...paths import course_root
from . import front, glossary, ledger, loose_ends, numbers
from . import lessons as lesson_pages
from . import widgets as live
from .place import check_extra, check_place, site_folder
from .settings import settings

if TYPE_CHECKING:
    from nbformat import NotebookNode

# What Sphinx writes and nobody opens.
_NOT_SHIPPED = (".buildinfo", ".doctrees", "_sources", "objects.inv", "_static/**/*.map", "_static/templates")


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
    measured: numbers.Measured | None = None,
    progress: Callable[[str], None] = print,
) -> Path:
    """Write the site of these notebooks (by place) into the folder `out`, and return its index.html.

    `cover` is MyST for the first page in place of the front page; `pages` are further pages, docname → MyST. Without
    `widgets`, their stills are shown alone. With `measured`, the site is the report of a run that measured this: numbers
    lead to that, too, the pages about the whole course are left out, and whatever Sphinx complains of is shown as well as
    it can be, such as a learner's own formula.

    Raises ValueError where the extra `site` is missing and where Sphinx has something to complain of, and OSError where
    no site may go to `out` (see `place`); `out` is then as it was.
    """
    check_extra()
    check_place(out)
    with tempfile.TemporaryDirectory(prefix="lora-lessons-site-") as temporary:
        source, work = Path(temporary, "source"), Path(temporary, "work")
        _write_sources(source, notebooks, cover, pages, measured)
        progress(f"{len(notebooks)} lessons and side trips become pages …")
        with site_folder(out) as made:
            _run_sphinx(source, made, work, strict=measured is None)
            _clean(made)
            if measured is not None:
                loose_ends.tie(made)
            if widgets:
                live.bake(made / "_static" / "widgets", None, progress)
    return out / "index.html"


def _write_sources(
    source: Path,
    notebooks: Mapping[str, NotebookNode],
    cover: str,
    pages: Mapping[str, str],
    measured: numbers.Measured | None,
) -> None:
    import nbformat

    places = list(notebooks)
    here = places if measured is not None else [*places, "symptoms"]
    for place, notebook in notebooks.items():
        path = source / lesson_pages.FOLDER / f"{place}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(lesson_pages.page(notebook, place, here, measured), path)
    told = {"glossary": glossary.page(), **numbers.pages(notebooks, measured), **pages}
    texts = told if measured is not None else _of_the_course(places) | told
    texts["index"] = f"{cover or front.page(places)}\n\n{front.tree(places, texts)}"
    for docname, text in texts.items():
        path = source / f"{docname}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")


def _of_the_course(places: Sequence[str]) -> dict[str, str]:
    """The pages that tell of the whole course."""
    return {
        "map": front.lesson_map(places),
        "claims": ledger.page(),
        f"{lesson_pages.FOLDER}/symptoms": _symptoms(),
    }


def _symptoms() -> str:
    """notebooks/symptoms.md with its anchors as Sphinx knows them."""
    text = (course_root() / "notebooks" / "symptoms.md").read_text(encoding="utf-8")
    return re.sub(r'^<a id="([\w-]+)"></a>$', r"(\1)=", text, flags=re.M)


def _run_sphinx(source: Path, made: Path, work: Path, strict: bool) -> None:
    """Let Sphinx write the pages. Raises ValueError with its first complaint where it has any that counts."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    said = io.StringIO()
    with patch_docutils(), docutils_namespace():
        app = Sphinx(
            source,
            None,
            work / "html",
            work / "trees",
            "html",
            confoverrides=settings(),
            status=None,
            warning=said,
            freshenv=True,
        )
        app.build()
    complaints = [line for line in re.sub(r"\x1b\[[\d;]*m", "", said.getvalue()).splitlines() if line.strip()]
    if not strict:
        complaints = [line for line in complaints if "error writing file" in line]
    if complaints:
        first = complaints[0].replace(f"{source}/", "")
        raise ValueError(f"the site has {len(complaints)} faults, and was not written. The first: {first}")
    # not at once: myst-nb writes a folder of its own beside the one that Sphinx is given
    shutil.copytree(work / "html", made, dirs_exist_ok=True)


def _clean(made: Path) -> None:
    for pattern in _NOT_SHIPPED:
        for path in list(made.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (made / ".nojekyll").touch()  # GitHub Pages would leave out _static/
