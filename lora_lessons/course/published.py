"""Figures that others published: `data/published.toml` holds each with its source,
and whoever quotes one names its row."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from ..paths import course_root

# What a group says of all its figures: `cards` are the claims that they bear on, `words` what they say of those,
# with {row}.
ABOUT = ("source", "url", "cards", "words")


def figures() -> dict[str, Any]:
    """Every published figure by its row, such as "svd_llm.intact": a number, or [low, high] for a range.

    Raises ValueError when the table is damaged, FileNotFoundError where it is missing.
    """
    return dict(_rows(_table()))


def _table() -> dict[str, Any]:
    file = course_root() / "data" / "published.toml"
    try:
        return _parsed(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"data/{file.name} is not valid TOML ({error}): restore it from git.") from error


class Printed(float):
    """A published number that keeps the digits that were printed: 0.870 is not 0.87."""

    def __new__(cls, digits: str) -> Printed:
        made = super().__new__(cls, digits)
        made.digits = digits
        return made

    digits: str


@lru_cache(maxsize=1)
def _parsed(text: str) -> dict[str, Any]:
    """The table in `text`, parsed once, for it is asked for row by row; whoever gets it changes nothing in it."""
    return tomllib.loads(text, parse_float=Printed)


def as_printed(figure: Any) -> str:
    """A published figure as a reader sees it: a range with a dash, whole numbers with separators."""
    if isinstance(figure, list):
        return "–".join(map(as_printed, figure))
    return figure.digits if isinstance(figure, Printed) else f"{figure:,}"


def groups() -> dict[str, dict[str, Any]]:
    """What each group says of all its figures, in the table's order: the source, its address, the claims' cards,
    its words."""
    return dict(_groups(_table()))


def _groups(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, value in table.items():
        if isinstance(value, dict):
            if "source" in value:
                yield f"{above}{name}", {key: value[key] for key in ABOUT if key in value}
            yield from _groups(value, f"{above}{name}.")


def group_of(row: str) -> str:
    """The group that a row is in: the nearest one above it that names its source."""
    known = groups()
    while row and row not in known:
        row = row.rpartition(".")[0]
    return row


def about(row: str) -> dict[str, Any]:
    """What the group of `row` says of all its figures."""
    return groups()[group_of(row)]


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
    rows = {row.removeprefix(f"{group}."): value for row, value in figures().items() if row.startswith(f"{group}.")}
    if not rows:
        raise KeyError(f"data/published.toml has no group {group!r}: add it there with its source.")
    return rows
