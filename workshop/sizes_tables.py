"""What was seen at which size of base, as docs/evidence.md shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import attrgetter
from typing import Any

from lora_lessons.course import claims
from lora_lessons.experiments import recordings, sizes
from lora_lessons.experiments.sizes.statements import NOT_ASKED, NOT_SEEN, NOT_TOLD, SEEN, capital, measured
from lora_lessons.experiments.sizes.table import ALONE, OPEN, families, said

TITLES = [size.title for size in sizes.SIZES.values()]
_MARKS = {SEEN: "yes", NOT_SEEN: "**no**", NOT_TOLD: NOT_TOLD, NOT_ASKED: "not asked", OPEN: "not measured yet"}


def _statements(record: Mapping[str, Any]) -> list[str]:
    """What may be the small base's own, the verdicts that ask it, and whether it was seen at each size;
    what rests on one run says so."""
    asked = [(name, row["id"]) for row in claims.rows() for name in row.get("at_sizes", ())]
    once = {
        (line.claim, line.quantity.name, title)
        for line in sizes.table(record)
        for title, value in line.measured.items()
        if value.seeds == 1
    }
    return _head("what we found (and the verdict that it bears on)") + [
        _row(
            " ".join([capital(one.says), *(f"({id})" for says, id in asked if says == name)]),
            (
                _MARKS[at[title]] + " (1 run)" * any((one.claim, need.quantity, title) in once for need in one.needs)
                for title in TITLES
            ),
        )
        for (name, one), at in zip(sizes.STATEMENTS.items(), sizes.seen(record).values(), strict=True)
        if measured(at)
    ]


def sizes_table() -> str:
    """Every statement, and then every quantity, at every size, with its interval over seeds."""
    record = recordings.recorded(sizes.NAME)
    parts = [
        "## What changes with the base's size",
        "",
        f"{recordings.when(record)} {families()} Full fine-tuning holds weights, gradients and two "
        "moments in 32 bits, which this machine has no room for at the largest size.",
        "",
        *_statements(record),
        "",
        f"“1 run” is one seed: another may say otherwise, so one run within {ALONE} of a limit is too close to "
        "it to tell. Behind a share of answers stands Wilson's interval, over the answers of all seeds; behind other "
        "numbers Student's t over the seeds. Lessons quote runs of their own. The 135M column was measured anew for "
        "this table, so it can differ from them in the last digits.",
    ]
    for claim, lines in groupby(filter(attrgetter("measured"), sizes.table(record)), key=attrgetter("claim")):
        asked = sizes.CLAIMS[claim]
        parts += ["", *_head(f"lesson {asked.lesson}: {asked.asks}")]
        parts += [
            _row(capital(line.quantity.title), (said(line.at[title], line.quantity.form) for title in TITLES))
            for line in lines
        ]
    return "\n".join([*parts, "", "`python -m workshop record sizes` measures them, cell by cell, in hours."])


def _head(first: str) -> list[str]:
    return [_row(first, TITLES), "|---|" + "---|" * len(TITLES)]


def _row(first: str, cells: Iterable[str]) -> str:
    return f"| {' | '.join([first, *cells])} |"
