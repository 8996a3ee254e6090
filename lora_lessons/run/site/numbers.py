"""Where a number in a lesson's prose is from: each bound number becomes a link to its record."""

from __future__ import annotations

from ...course.prose import without_sources


def linked(markdown: str, stem: str) -> str:
    """A markdown cell of the page `stem` (its place, such as deeper/01_x) with its marks gone."""
    return without_sources(markdown)


def pages() -> dict[str, str]:
    """The pages that the numbers link to: docname → MyST."""
    return {}


def up(stem: str) -> str:
    """The way from the page of the lesson `stem` up to the site's root: "../" or "../../"."""
    return "../" * (stem.count("/") + 1)
