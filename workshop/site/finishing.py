"""What pages still lack, and what they have too much of; and pieces of HTML that stand among markdown."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from lora_lessons.course.on_the_web import fewer_colors
from lora_lessons.drawing import png_size

# What Sphinx writes and no reader of the site opens.
_NOT_SHIPPED = (".buildinfo", ".doctrees", "_sources", "objects.inv", "_static/**/*.map")
SHARP = 56  # colours of a picture: a photograph shows no steps yet
_INLINE = re.compile(r'src="data:image/png;base64,(?P<data>[A-Za-z0-9+/=\s]+)"')
_PICTURE = re.compile(r'<img (?![^>]*loading=)[^>]*src="(?P<file>[^":]*_images/[^"]+\.png)"[^>]*>')

# What a screen reader needs: levels of headings, names of the page's parts, the words of what is folded as its name.
_HEARD = (
    ('<p class="caption" role="heading">', '<p class="caption" role="heading" aria-level="2">'),
    ('<aside class="sidebar-drawer">', '<aside class="sidebar-drawer" aria-label="All pages">'),
    ('<aside class="toc-drawer', '<aside aria-label="On this page" class="toc-drawer'),
    ('<div id="search-results"', '<h1>Search</h1>\n<div id="search-results"'),
    (' aria-label="Toggle hidden content"', ""),
    ('<div class="sidebar-tree">', '<div class="sidebar-tree" role="navigation" aria-label="Pages">'),
    ('<div class="related-pages">', '<div class="related-pages" role="navigation" aria-label="Previous and next">'),
    ('<i class="icon"><svg', '<i class="icon"><svg aria-hidden="true"'),
    ('<svg class="theme-icon', '<svg aria-hidden="true" class="theme-icon'),
    ('<svg class="furo-related-icon"', '<svg aria-hidden="true" class="furo-related-icon"'),
)


def finish(site: Path) -> None:
    """Make Sphinx's folder the site: pictures in files, loaded when they are scrolled to;
    nothing in it that nobody opens.

    Raises ValueError naming the page where a picture on it is damaged.
    """
    for pattern in _NOT_SHIPPED:
        for path in list(site.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for page in site.rglob("*.html"):
        try:
            page.write_text(_finished(page, site), encoding="utf-8", newline="\n")
        except ValueError as error:
            raise ValueError(
                f"the site was not written. A picture of {page.stem} is damaged ({error}): run the lesson anew."
            ) from error
    for picture in site.glob("_images/*.png"):
        with suppress(OSError):
            picture.write_bytes(fewer_colors(picture.read_bytes(), SHARP))
    (site / ".nojekyll").touch()  # else GitHub Pages leaves out every folder that begins with _


def _finished(page: Path, site: Path) -> str:
    up = "../" * (len(page.relative_to(site).parts) - 1)
    text = page.read_text(encoding="utf-8")
    text = _INLINE.sub(lambda match: f'src="{_kept(site, up, match["data"])}"', text)
    text = _PICTURE.sub(lambda match: _in_time(match, page.parent), text)
    for before, after in _HEARD:
        text = text.replace(before, after)
    return text


def _kept(site: Path, up: str, data: str) -> str:
    """Write a picture that a page holds within itself into a file; return its address."""
    png = base64.b64decode(data)
    name = f"_images/{hashlib.sha256(png).hexdigest()[:32]}.png"
    (site / "_images").mkdir(exist_ok=True)
    (site / name).write_bytes(png)
    return f"{up}{name}"


def _in_time(picture: re.Match[str], folder: Path) -> str:
    """A picture that is loaded when it is near, and whose room is kept free until then."""
    width, height = png_size((folder / picture["file"]).read_bytes())
    tag = re.sub(r' (?:width|height)="[^"]*"', "", picture[0])
    shown = re.search(r' width="(\d+)"', picture[0])
    wide = int(shown[1]) if shown else width
    return tag.replace("<img", f'<img loading="lazy" width="{wide}" height="{round(height * wide / width)}"', 1)


def as_table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", kind: str = "") -> str:
    """A table under these columns; cells and caption are HTML.
    The roles stay when a style sheet makes cards of rows."""
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


def as_code(text: str, anchor: str = "") -> str:
    """`text` as code, which may break after a dot or an underscore;
    with the place's name where it is one to lead to."""
    named = f' id="{html.escape(anchor)}"' if anchor else ""
    broken = re.sub(r"([._](?=\w))", r"\1<wbr>", html.escape(text))
    return f"<code{named}>{broken}</code>"


def link_to(href: str, words: str) -> str:
    """A link that reads `words`, which are HTML."""
    return f'<a href="{html.escape(href)}">{words}</a>'


# What markdown or its extensions would take for their own inside a tag that stands in a line of text.
_MARKS = re.compile(r"[`$|{}\\\n]")


def attribute(text: str) -> str:
    """`text` as the value of an attribute of a tag that stands among markdown."""
    return _MARKS.sub(lambda mark: f"&#{ord(mark[0])};", html.escape(text))
