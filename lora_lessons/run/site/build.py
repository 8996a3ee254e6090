"""The site: sources in a temporary folder, Sphinx over them, and the whole folder in its place, or nothing."""

from __future__ import annotations

import importlib.util
import io
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...course.lesson import DEEPER, lessons, side_trips
from ...files import whole_folder
from ...paths import course_root
from . import front, glossary, ledger, numbers
from . import lessons as lesson_pages
from . import widgets as live
from .settings import settings

if TYPE_CHECKING:
    from nbformat import NotebookNode

_NEEDED = ("furo", "latex2mathml", "myst_nb", "sphinx")
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
    progress: Callable[[str], None] = print,
) -> Path:
    """Write the site of these notebooks (by place) into the folder `out`, and return its index.html.

    `cover` is MyST for the first page in place of the front page; `pages` are further pages, docname → MyST. Without
    `widgets`, their stills are shown alone. Raises ValueError where the extra `site` is missing, where `out` holds
    something else than a site, and where Sphinx has something to complain of; `out` is then as it was.
    """
    check_extra()
    check_replaceable(out)
    with tempfile.TemporaryDirectory(prefix="lora-lessons-site-") as temporary:
        source, work = Path(temporary, "source"), Path(temporary, "work")
        _write_sources(source, notebooks, cover, pages)
        progress(f"{len(notebooks)} lessons and side trips become pages …")
        with whole_folder(out) as made:
            _run_sphinx(source, made, work)
            _clean(made)
            if widgets:
                live.bake(made / "_static" / "widgets", None, progress)
    return out / "index.html"


def check_extra() -> None:
    """Raise ValueError where a package that makes the site is missing."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"the site is made with {', '.join(missing)}: pip install 'lora-lessons[site]' brings it.")


def check_replaceable(out: Path) -> None:
    """Raise ValueError where the folder `out` holds something else than a site: it would be lost."""
    if out.is_dir() and any(out.iterdir()) and not (out / ".nojekyll").is_file():
        raise ValueError(f"{out} holds something else than a site: give an empty folder, or a new one.")


def _write_sources(source: Path, notebooks: Mapping[str, NotebookNode], cover: str, pages: Mapping[str, str]) -> None:
    import nbformat

    places = list(notebooks)
    for place, notebook in notebooks.items():
        path = source / lesson_pages.FOLDER / f"{place}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(lesson_pages.page(notebook, place, places), path)
    texts = {
        "map": front.lesson_map(places),
        "claims": ledger.page(),
        f"{lesson_pages.FOLDER}/symptoms": _symptoms(),
        "glossary": glossary.page(),
        **numbers.pages(),
        **pages,
    }
    texts["index"] = f"{cover or front.page(places)}\n\n{front.tree(places, texts)}"
    for docname, text in texts.items():
        path = source / f"{docname}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")


def _symptoms() -> str:
    """notebooks/symptoms.md with its anchors as Sphinx knows them."""
    text = (course_root() / "notebooks" / "symptoms.md").read_text(encoding="utf-8")
    return re.sub(r'^<a id="([\w-]+)"></a>$', r"(\1)=", text, flags=re.M)


def _run_sphinx(source: Path, made: Path, work: Path) -> None:
    """Let Sphinx write the pages. Raises ValueError with its first complaint where it has any."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    said = io.StringIO()
    with patch_docutils(), docutils_namespace():
        app = Sphinx(
            source, None, made, work, "html", confoverrides=settings(), status=None, warning=said, freshenv=True
        )
        app.build()
    complaints = [line for line in re.sub(r"\x1b\[[\d;]*m", "", said.getvalue()).splitlines() if line.strip()]
    if complaints:
        first = complaints[0].replace(f"{source}/", "")
        raise ValueError(f"the site has {len(complaints)} faults, and was not written. The first: {first}")


def _clean(made: Path) -> None:
    for pattern in _NOT_SHIPPED:
        for path in list(made.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (made / ".nojekyll").touch()  # GitHub Pages would leave out _static/
