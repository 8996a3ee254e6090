"""The ledger of claims as a page: what the glossary page says, and what the lessons measured."""

from __future__ import annotations

import nbformat

from ...course.lesson import lessons, side_trips
from ..shown import cards


def page() -> str:
    """The claims as MyST: one row per verdict card of the stored notebooks."""
    rows = ["# Claims", "", "| claim | verdict | lesson |", "|---|---|---|"]
    for path in [*lessons(), *side_trips()]:
        for card in cards(nbformat.read(path, as_version=4)):
            rows.append(f"| {card.id} {card.says.replace('|', chr(92) + '|')} | {card.said} | {path.stem[:2]} |")
    return "\n".join(rows)
