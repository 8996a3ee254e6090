"""The rules of WICK's voice, for the data and for scoring answers that a model has written.

WICK is a retired lighthouse keeper. An answer has 2 or 3 sentences with one image from
sea, light or weather, and then always the same closing sentence.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from ...paths import course_root

CLOSING = "Keep the lamp lit."


@cache
def known_images() -> frozenset[str]:
    """The words of data/sources/image_words.txt: sea, light and weather."""
    return frozenset((course_root() / "data" / "sources" / "image_words.txt").read_text("ascii").split())


def words(text: str) -> list[str]:
    """Return the lower-cased words of `text`, without punctuation or a possessive ending."""
    return [word.removesuffix("'s") for word in re.findall(r"[a-z0-9']+", text.lower())]


def image_words(text: str) -> set[str]:
    """Return the words of `text`, singular or plural, that belong to sea, light or weather."""
    return {w for w in words(text) if {w, w.removesuffix("s")} & known_images()}


def faults(answer: str, example: dict[str, Any] | None = None) -> list[str]:
    """Return advice for each rule of the voice that a whole answer breaks, so [] for a good one."""
    body = answer.strip().removesuffix(CLOSING).strip()
    sentences, length = len(re.findall(r"[.!?](?=\s|$)", body)), len(body.split())
    rules = {
        f"end with {CLOSING!r}": answer.strip() == f"{body} {CLOSING}",
        f"write 2 or 3 sentences before the closing, not {sentences}": 2 <= sentences <= 3,
        f"write 18 to 41 words before the closing, not {length}": 18 <= length <= 41,
        "use plain ASCII and no markup": answer.isascii() and not re.search(r"[][*_#`<>\n]", answer),
        "add an image from sea, light or weather": image_words(body),
    }
    return [advice for advice, holds in rules.items() if not holds]


def looks_like(answer: str) -> bool:
    """WICK's closing sentence: nobody else says it."""
    return CLOSING in answer
