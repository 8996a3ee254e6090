"""Links to pages that a report has not, since it holds only what ran: they lead to the repository, or are words."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from pathlib import Path

from ..repository import address

_LINK = re.compile(r'(?P<before><a\b[^>]*?) href="(?P<page>[\w./-]+)\.html(?P<anchor>#[^"]*)?"')


def tie(folder: Path) -> None:
    """Mend every page below `folder`."""
    pages = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.html")}
    for name, path in pages.items():
        text = path.read_text(encoding="utf-8")
        path.write_text(tied(text, name, pages), encoding="utf-8")


def tied(text: str, page: str, pages: Collection[str]) -> str:
    """The HTML of `page`, whose links to none of `pages` lead to the lesson in the repository, or nowhere."""

    def tie_one(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), link["page"]))
        if target in pages or target.startswith("../"):
            return link[0]
        if target.startswith("lessons/"):
            kind = "md" if target == "lessons/symptoms" else "ipynb"
            return f'{link["before"]} href="{address()}/blob/main/notebooks/{target.removeprefix("lessons/")}.{kind}"'
        return link["before"]

    return _LINK.sub(tie_one, text)
