"""The plain words of a markdown text: what is no code, formula, heading, table, link, bold word or tag."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

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
