"""What pages still lack, and what they have too much of: tables for phones, plain words, links that lead nowhere."""

from __future__ import annotations

import base64
import hashlib
import html
import posixpath
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lora_lessons.drawing import png_size

from ..badges import address

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token


# What Sphinx writes and no reader of the site opens.
_NOT_SHIPPED = (".buildinfo", ".doctrees", "_sources", "objects.inv", "_static/**/*.map")
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
    """Make Sphinx's folder the site: pictures in files, loaded when they are scrolled to; nothing in it that nobody opens."""
    for pattern in _NOT_SHIPPED:
        for path in list(site.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for page in site.rglob("*.html"):
        page.write_text(_finished(page, site), encoding="utf-8", newline="\n")
    (site / ".nojekyll").touch()  # else GitHub Pages leaves out every folder that begins with _


def _finished(page: Path, site: Path) -> str:
    up = "../" * (len(page.relative_to(site).parts) - 1)
    text = page.read_text(encoding="utf-8")
    text = _INLINE.sub(lambda found: f'src="{_kept(site, up, found["data"])}"', text)
    text = _PICTURE.sub(lambda found: _in_time(found, page.parent), text)
    for before, after in _HEARD:
        text = text.replace(before, after)
    return text


def _kept(site: Path, up: str, data: str) -> str:
    """Write a picture that a page holds within itself into a file; return its address. One that is cut short stays there."""
    try:
        png = base64.b64decode(data)
    except ValueError:
        return f"data:image/png;base64,{data}"
    name = f"_images/{hashlib.sha256(png).hexdigest()[:32]}.png"
    (site / "_images").mkdir(exist_ok=True)
    (site / name).write_bytes(png)
    return f"{up}{name}"


def _in_time(picture: re.Match[str], folder: Path) -> str:
    """A picture that is loaded when it is near, and whose room is kept free until then."""
    try:
        width, height = png_size((folder / picture["file"]).read_bytes())
    except ValueError:
        return picture[0]  # cut short: a report shows it as it is
    tag = re.sub(r' (?:width|height)="[^"]*"', "", picture[0])
    shown = re.search(r' width="(\d+)"', picture[0])
    wide = int(shown[1]) if shown else width
    return tag.replace("<img", f'<img loading="lazy" width="{wide}" height="{round(height * wide / width)}"', 1)


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


NOT_PLAIN = "\0"


def paragraphs(markdown: str) -> Iterator[Token]:
    """The contents of paragraphs, those in lists and quotations included, but not headings and tables."""
    tokens = _parser().parse(markdown)
    for before, token in zip(tokens, tokens[1:], strict=False):
        if token.type == "inline" and before.type == "paragraph_open":
            yield token


@cache
def _parser() -> MarkdownIt:
    """Markdown as MyST reads it in the lessons: CommonMark with tables and formulas."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    return MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, double_inline=True)


def words_alone(paragraph: Token) -> str:
    """A paragraph's source, as long as it is, with NOT_PLAIN in place of all that is no plain word."""
    source, at, inside = paragraph.content, 0, 0
    plain = [mark if mark == "\n" else NOT_PLAIN for mark in source]
    for token in paragraph.children or []:
        begin = source.find(token.content, at)
        if begin < 0:
            continue  # written with an escape or an entity
        if token.content:
            at = begin + len(token.content)
        if token.type == "text" and not inside:
            plain[begin:at] = token.content
        elif token.type == "html_inline":
            inside += bool(re.match(r"<a\b", token.content)) - token.content.startswith("</a")
        elif token.type in ("link_open", "strong_open"):
            inside += 1
        elif token.type in ("link_close", "strong_close"):
            inside -= 1
        if token.type in ("link_close", "image"):
            at = _after_address(source, at)
    return "".join(plain)


def _after_address(source: str, at: int) -> int:
    """Where a link's or a picture's address ends, if one begins at `at`."""
    if not source.startswith("](", at):
        return at
    return source.find(")", _parser().helpers.parseLinkDestination(source, at + 2, len(source)).pos) + 1


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
