"""Figures that others published: `data/published.toml` holds each with its source, and whoever quotes one names its row."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from ..paths import course_root

ABOUT = ("source", "url")  # what a group says of all its figures


def figures() -> dict[str, Any]:
    """Every published figure by its row, such as "svd_llm.intact": a number, or [low, high] for a range.

    Raises ValueError when the table is damaged, FileNotFoundError where it is missing.
    """
    file = course_root() / "data" / "published.toml"
    try:
        groups = tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"data/{file.name} is not valid TOML ({error}): restore it from git.") from error
    return dict(_rows(groups))


def _rows(groups: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in groups.items():
        if isinstance(value, dict):
            yield from _rows(value, f"{above}{name}.")
        elif name not in ABOUT:
            yield f"{above}{name}", value


def figure(row: str) -> Any:
    """The published figure in `row`; `row.low` and `row.high` are the ends of a range.

    Raises KeyError naming the row where there is none.
    """
    known = figures()
    whole, _, end = row.rpartition(".")
    if end in ("low", "high") and isinstance(known.get(whole), list):
        return known[whole][end == "high"]
    if row not in known:
        raise KeyError(f"data/published.toml has no row {row!r}: add it there with its source.")
    return known[row]


def column(group: str) -> dict[str, Any]:
    """The rows of one group by the last part of their names. Raises KeyError where there is no such group."""
    found = {row.removeprefix(f"{group}."): value for row, value in figures().items() if row.startswith(f"{group}.")}
    if not found:
        raise KeyError(f"data/published.toml has no group {group!r}: add it there with its source.")
    return found
