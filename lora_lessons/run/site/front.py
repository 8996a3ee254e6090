"""The front page, and the map of the lessons."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...course.lesson import DEEPER
from ...course.syllabus import SYLLABUS
from ..baselines import read_baseline
from . import widgets
from .lessons import FOLDER


def page(places: Sequence[str]) -> str:
    """The front page as MyST."""
    return "\n\n".join(
        [
            "# LoRA Lessons",
            "**Run every claim. Train A×B yourself.**",
            widgets.mount("rank_explorer"),
            "[The map of the lessons](map.md)",
        ]
    )


def tree(places: Sequence[str], pages: Iterable[str]) -> str:
    """The table of contents that the sidebar shows: lessons in order, side trips beneath theirs, then the other pages."""
    main = [f"{FOLDER}/{place}" for place in places if not place.startswith(f"{DEEPER}/")]
    alone = [
        f"{FOLDER}/{place}" for place in places if place.startswith(f"{DEEPER}/") and not _lesson_of(place, places)
    ]
    return "\n".join([_toctree("Lessons", [*main, *alone]), "", _toctree("Beside the lessons", list(pages))])


def _toctree(caption: str, names: Sequence[str]) -> str:
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *names, "```"])


def _lesson_of(place: str, places: Sequence[str]) -> str | None:
    number = place.removeprefix(f"{DEEPER}/")[:2]
    return next((other for other in places if other.startswith(f"{number}_")), None)


def lesson_map(places: Sequence[str]) -> str:
    """The map as MyST: each lesson's question, what it is for, its minutes, and its side trips."""
    rows = ["# Map of the lessons", "", "| lesson | afterwards you can | minutes |", "|---|---|---|"]
    for place in places:
        number = Path(place).name[:2]
        planned = SYLLABUS.get(number)
        if planned and "/" not in place:
            rows.append(
                f"| [{number} · {planned.question}]({FOLDER}/{place}.ipynb) | {planned.afterwards} | {minutes(place)} |"
            )
    return "\n".join(rows)


def minutes(place: str) -> str:
    """The minutes that the recorded run took, rounded up."""
    baseline = read_baseline(Path(place).name)
    return str(math.ceil(baseline["seconds"] / 60)) if baseline else "not timed yet"
