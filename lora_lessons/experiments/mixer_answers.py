"""What the mixer of lesson 09 answers, recorded: a page on which no model runs plays these answers."""

from __future__ import annotations

from typing import Any

from . import recordings

NAME = "lesson_09_mixer"
COMMON = "How do I keep bread fresh?"  # asked of every pair, and of each adapter alone


def recorded() -> dict[str, Any]:
    """The recording that the mixer plays. Raises FileNotFoundError when the checkout lacks it."""
    return recordings.recorded(NAME)
