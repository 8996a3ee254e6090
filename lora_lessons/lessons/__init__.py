"""A room for every lesson: what judges its exercises, and its widget; a room registers itself when it is imported."""

from __future__ import annotations

import html
import pkgutil
from collections.abc import Container
from importlib import import_module
from typing import Any

from ..course import claims, exercises
from ..course.learner import read_progress
from ..course.lesson import lessons
from ..exhibits import catalogue
from ..experiments import sizes

claims.CLAIMS[:] = [
    claims.Claim(
        row["id"],
        row["lesson"],
        row["says"],
        row["verdict"],
        row["sentence"],
        row["rules"],
        sizes.at_sizes(*row["at_sizes"]) if "at_sizes" in row else None,
    )
    for row in claims.rows()
]


def rooms() -> list[str]:
    """Import every lesson's room; return their names in reading order: l05 is lesson 05's."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    for name in names:
        import_module(f"{__name__}.{name}")
    return names


def all_exercises() -> dict[str, exercises.Exercise]:
    """Every exercise of the course, in order."""
    rooms()
    return dict(sorted(exercises.EXERCISES.items(), key=lambda one: tuple(map(int, one[0].split(".")))))


def all_claims() -> list[claims.Claim]:
    """Every claim that a lesson judges, in the order of the lessons."""
    return sorted(claims.CLAIMS, key=lambda claim: claim.lesson)


def progress_map() -> Any:
    """How many exercises are solved; unfolded, a table of the lessons with a filled square for each solved one.

    Those of a lesson's further halls stand apart."""
    from IPython.display import HTML

    done, every, rows = read_progress()["done"], all_exercises().values(), []
    for path in lessons():
        mine = [e for e in every if e.id.split(".")[0] == path.stem[:2]]
        squares = _squares(mine, done)
        count = f"{sum(e.id in done for e in mine)} of {len(mine)} solved"
        rows.append(
            f"<tr><td><a href='{html.escape(path.name)}'>{html.escape(path.stem)}</a></td><td "
            f"style='letter-spacing:.3em'>{squares}</td><td>{count}</td></tr>"
        )
    solved = sum(e.id in done for e in every)
    head = f"<summary>Your progress: {solved} of {len(every)} exercises solved</summary>"
    table = f"<table><tr><th>lesson, with its side trips</th><th>exercises</th><th></th></tr>{''.join(rows)}</table>"
    return HTML(f"<details>{head}{table}</details>")


def _squares(of_lesson: list[exercises.Exercise], done: Container[str]) -> str:
    """A square an exercise. Each hall of the museum is a group."""
    hung, halls = {id: one.hall for id, one in catalogue().items()}, dict[int, str]()
    for one in of_lesson:
        hall = hung.get(one.id, 0)
        halls[hall] = halls.get(hall, "") + ("■" if one.id in done else "□")
    return " ".join(halls.values())
