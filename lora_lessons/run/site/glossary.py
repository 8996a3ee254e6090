"""The glossary as a page, and the first use of each of its terms as a link to it."""

from __future__ import annotations


def page() -> str:
    """The glossary as MyST."""
    return "# Glossary"


def hinted(markdown: str, seen: set[str], stem: str) -> str:
    """A markdown cell with the first use of each term linked; `seen` are the terms that the page has had."""
    return markdown
