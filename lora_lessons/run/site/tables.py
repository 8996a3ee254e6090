"""Tables of pages as HTML: on a phone each row becomes a card, whose cells then carry the names of their columns."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", kind: str = "") -> str:
    """A table under these columns; cells and caption are HTML. The roles stay when a style sheet makes cards of rows."""
    names = "".join(f'<th role="columnheader" scope="col">{html.escape(name)}</th>' for name in head)
    above = f'<p class="caption">{caption}</p>\n' if caption else ""
    label = f' aria-label="{re.sub("<[^>]+>", "", caption)}"' if caption else ""
    body = "\n".join(_row(head, row) for row in rows)
    return (
        f'{above}<table class="{f"cards {kind}".strip()}" role="table"{label}>\n'
        f'<thead role="rowgroup"><tr role="row">{names}</tr></thead>\n<tbody role="rowgroup">\n{body}\n</tbody></table>'
    )


def _row(head: Sequence[str], cells: Sequence[str]) -> str:
    shown = (
        f'<td role="cell" data-label="{html.escape(name)}"><div>{one_line(cell)}</div></td>'
        for name, cell in zip(head, cells, strict=True)
    )
    return f'<tr role="row">{"".join(shown)}</tr>'


def one_line(text: str) -> str:
    """`text` without the empty lines that would end a block of HTML in markdown."""
    return re.sub(r"\s*\n\s*", " ", text)


def code(text: str, anchor: str = "") -> str:
    """`text` as code, which may break after a dot or an underscore; with the place's name where it is one to lead to."""
    named = f' id="{html.escape(anchor)}"' if anchor else ""
    broken = re.sub(r"([._](?=\w))", r"\1<wbr>", html.escape(text))
    return f"<code{named}>{broken}</code>"


def link(href: str, words: str) -> str:
    return f'<a href="{html.escape(href)}">{words}</a>'
