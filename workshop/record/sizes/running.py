"""The cells measured one after the other, in a process for each base (`process`): what is done,
and how long the rest takes.

Each cell is kept when it is measured, so that a killed run goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

from lora_lessons.errors import ModelError
from lora_lessons.experiments import recordings
from lora_lessons.experiments.recordings import LARGE_PAGES, run_in_process
from lora_lessons.experiments.sizes.cells import CLAIMS, NAME, SIZES, STEPS, AskedBase, Cell, Row, done, key
from lora_lessons.experiments.sizes.statements import STATEMENTS, in_words, seen
from lora_lessons.experiments.sizes.table import families, said, table
from lora_lessons.files import scratch
from lora_lessons.machine import stamp
from lora_lessons.paths import measurements
from workshop.record.runs import AND

ALONE = ("memory",)  # whose peak must be a process's own
SMALL = 134.5e6  # weights of the base that a claim's seconds are guessed for
LOADING = 25.0  # seconds for a billion weights, with a first look at the libraries
WHAT = (
    "each claim of the course at several sizes, cell by cell: held-out losses in nats a supervised token of the "
    "persona's 60 held-out chats, perplexities of the general text, memory in bytes"
)


def place() -> Path:
    """The recording of the course."""
    return measurements() / f"{NAME}.json"


def rows_in(file: Path) -> list[Row]:
    """The cells that `file` holds; none where there is no file. Raises ValueError where it is damaged."""
    try:
        return list(recordings.read(file)["rows"])
    except FileNotFoundError:
        return []


def keep(file: Path, row: Row) -> None:
    """Put a cell into `file`, in the place of an older one of its key; the file is whole before and after.

    The recording names every machine that a cell was measured on.
    """
    rows = [*(old for old in rows_in(file) if key(old) != key(row)), row]
    machines = sorted({one["machine"] for one in rows})
    recordings.write(file, stamp() | {"machine": AND.join(machines), "what": WHAT, "rows": rows})


# ---- how long it will take ----


def expected(cell: Cell, rows: Sequence[Row]) -> float:
    """Seconds that a cell will take: as its like did at this size, else at another size, else by guess."""
    alike = [row for row in rows if row["claim"] == cell.claim]
    here = [row for row in alike if row["size"] == cell.size.name]
    for like in ([row for row in here if row["way"] == cell.way], here):
        if like:
            return fmean(row["seconds"] for row in like)
    elsewhere = [row["seconds"] / pace(SIZES[row["size"]]) for row in alike if row["size"] in SIZES]
    return pace(cell.size) * (fmean(elsewhere) if elsewhere else CLAIMS[cell.claim].seconds)


def pace(size: AskedBase) -> float:
    """How many times as long as on the 135M something takes."""
    return (size.weights / SMALL) ** 0.8


def loading(size: AskedBase) -> float:
    """Seconds until a process has a base."""
    return 10 + LOADING * size.weights / 1e9


def in_minutes(seconds: float) -> str:
    """A time in words."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def listed(cells: Sequence[Cell], rows: Sequence[Row], steps: int = STEPS) -> Iterator[str]:
    """A line for each cell, done or open, and one for all."""
    there, left = done(rows, steps), 0.0
    for cell in cells:
        if row := there.get(cell.key):
            yield f"done  {cell}: {row['date']}, {in_minutes(row['seconds'])}"
        else:
            left += (takes := expected(cell, rows))
            yield f"open  {cell}: about {in_minutes(takes)}"
    open_cells = sum(cell.key not in there for cell in cells)
    yield f"{len(cells) - open_cells} of {len(cells)} cells are done; the others take about {in_minutes(left)}."


# ---- going on ----


def measure(
    cells: Sequence[Cell], file: Path | None = None, minutes: float | None = None, steps: int = STEPS
) -> dict[str, Any]:
    """Measure the open ones of `cells` in their order, into `file` or data/measurements/sizes.json.

    With `minutes` no cell is begun that would probably not be done by then. A cell that fails stays open and is said;
    of a process that was killed, so does the rest of its cells. Returns how many there are, what is left, and whether
    all is "fine": nothing failed.
    """
    file = file or place()
    end = time.time() + 60 * minutes if minutes is not None else None
    there = done(rows_in(file), steps)
    todo = [cell for cell in cells if cell.key not in there]
    fine = True
    print(f"{len(cells) - len(todo)} of {len(cells)} cells are done already.", flush=True)
    for _, group in groupby(enumerate(todo), lambda one: (one[1].size, one[0] if one[1].claim in ALONE else None)):
        part = [cell for _, cell in group]
        rows = rows_in(file)
        soonest = loading(part[0].size) + min(expected(cell, rows) for cell in part)
        if end is not None and time.time() + soonest > end:
            continue
        wanted = {
            "size": part[0].size._asdict(),
            "cells": [cell[1:] for cell in part],
            "file": str(file),
            "end": end,
            "steps": steps,
        }
        with scratch("sizes-process") as folder:
            try:
                run_in_process(f"{__package__}.process", "cells", wanted, folder, LARGE_PAGES)
            except ModelError as error:
                fine = False
                print(error, flush=True)
    there = done(rows_in(file), steps)
    left = [str(cell) for cell in cells if cell.key not in there]
    print(f"{len(cells) - len(left)} of {len(cells)} cells are done." + " The same command goes on." * bool(left))
    return {"cells": len(cells), "left": left, "fine": fine}


def lines(record: Mapping[str, Any], sizes: Mapping[str, AskedBase] = SIZES, steps: int = STEPS) -> Iterator[str]:
    """The table as text, the sizes' families above it: with the first step in size the family changes, too."""
    yield families(sizes)
    claim = ""
    for line in table(record, sizes, steps):
        if line.claim != claim:
            claim = line.claim
            yield f"\n{CLAIMS[claim].asks} (lesson {CLAIMS[claim].lesson})"
        yield f"  {line.quantity.title:<66}" + "   ".join(
            f"{t}: {said(v, line.quantity.form)}" for t, v in line.at.items()
        )


def said_of(file: Path) -> Iterator[str]:
    """What the cells of a file say: the table, and at which sizes each statement was seen."""
    if rows := rows_in(file):
        record = {"rows": rows}
        yield from lines(record)
        yield ""
        yield from (f"{STATEMENTS[name].says}: {in_words(at)}." for name, at in seen(record).items())
