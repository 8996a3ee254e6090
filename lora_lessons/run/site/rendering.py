"""Sphinx over the sources: every page, or the first thing that is wrong with them in one sentence."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from .front import neighbours
from .settings import CONF


def render(texts: Mapping[str, str], work: Path, site: Path, strict: bool) -> None:
    """Let Sphinx make pages of these sources, by path, and put them into the folder `site`; `work` is for its own use.

    Raises ValueError with Sphinx's first complaint: a warning is a fault. Where it is not `strict`, only a page that
    could not be written is one.
    """
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    source, said = work / "source", io.StringIO()
    for name, text in {**texts, **CONF}.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    try:
        with patch_docutils(), docutils_namespace():
            app = Sphinx(
                source, source, work / "html", work / "trees", "html", status=None, warning=said, freshenv=True
            )
            app.connect("html-page-context", neighbours)
            app.build()
    except (SphinxError, ValueError) as error:
        raise ValueError(f"the site was not written. {error}") from error
    faults = [line for line in re.sub(r"\x1b\[[\d;]*m", "", said.getvalue()).splitlines() if line.strip()]
    if not strict:
        faults = [line for line in faults if "error writing file" in line]
    if faults:
        first = faults[0].replace(f"{source}/", "")
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise ValueError(f"the site was not written, because of this{more}: {first}")
    # not at once: myst-nb writes a folder of its own beside the one that Sphinx is given
    shutil.copytree(work / "html", site, dirs_exist_ok=True)
