"""“Where is this number from?” Every bound number of a lesson leads to the page that says it."""

from __future__ import annotations

import html
import re

from ...course.lesson import place_of
from ...course.prose import Quoted, with_sources, without_sources
from .arithmetic import tells
from .number_pages import pages as pages
from .number_pages import quoted_anchor
from .where import Measured as Measured
from .where import where

# What markdown or its extensions would take for their own inside a tag that stands in a line of text.
_MARKS = re.compile(r"[`$|{}\\\n]")


def up(stem: str) -> str:
    """The way from a lesson's page to the site's root: "../", or "../../" from a side trip."""
    return "../" * (1 + place_of(stem.rpartition("/")[2]).count("/"))


def attribute(text: str) -> str:
    """`text` as the value of an attribute of a tag that stands among markdown."""
    return _MARKS.sub(lambda mark: f"&#{ord(mark[0])};", html.escape(text))


def linked(markdown: str, stem: str, measured: Measured | None = None, quoted_so_far: set[str] | None = None) -> str:
    """A markdown cell's source with every bound number made a link to where it comes from, which its hint says.

    Numbers in headings stay words, because a heading is repeated in the list of contents, as a link itself; so does what
    one plain operation gives, such as the 90% of 9/10. With `measured`, the
    page is of that run's report: hints say what it found, too, and a number without a source here stays a number.
    With `quoted_so_far`, the page's first quotation of each record has a name to lead to, and is added.
    """

    def named(quoted: Quoted) -> str:
        if quoted_so_far is None or quoted.kind != "record" or quoted.what in quoted_so_far:
            return ""
        quoted_so_far.add(quoted.what)
        return f' id="{attribute(quoted_anchor(quoted.what))}"'

    def link(quoted: Quoted, reads: str) -> str:
        if not tells(quoted):
            return reads
        try:
            found = where(quoted, stem, measured)
        except KeyError:
            if measured is None:
                raise
            return reads
        shown, space = reads.rstrip(), reads[len(reads.rstrip()) :]
        href = attribute(found.href(up(stem)))
        return f'<a class="bound" href="{href}" data-hint="{attribute(found.hint)}"{named(quoted)}>{shown}</a>{space}'

    lines = re.split(r"^(#{1,6} .*)$", markdown, flags=re.M)
    return "".join(without_sources(part) if index % 2 else with_sources(part, link) for index, part in enumerate(lines))
