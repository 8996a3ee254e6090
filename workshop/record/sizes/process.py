"""The process in which the cells of one base are measured: `python -m … cells '{"size": …, "cells": …}' FOLDER`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from lora_lessons.errors import ModelError, Unavailable
from lora_lessons.experiments.recordings import answer
from lora_lessons.experiments.sizes.cells import AskedBase, Cell
from lora_lessons.machine import stamp
from lora_lessons.training import TrainingStopped
from workshop.record.sizes.measures import MEASURES, Subject
from workshop.record.sizes.running import expected, in_minutes, keep, rows_in


def measure(wanted: dict[str, Any], folder: Path | None = None) -> None:
    """Measure the cells in turn, and write each to the file when it is measured.

    Raises ModelError at the end when some of them failed; they stay open.
    """
    size, file, end, steps = AskedBase(**wanted["size"]), Path(wanted["file"]), wanted["end"], wanted["steps"]
    subject, late, failed = Subject(size, steps), 0, 0
    for number, (claim, way, seed) in enumerate(wanted["cells"], 1):
        cell = Cell(size, claim, way, seed)
        takes, now = expected(cell, rows_in(file)), time.time()
        if end is not None and now + takes > end:
            late += 1
            continue
        until = time.strftime("%H:%M", time.localtime(now + takes))
        print(f"{number}/{len(wanted['cells'])}  {cell}: about {in_minutes(takes)}, until {until}", flush=True)
        begun, loading = time.perf_counter(), subject.loading
        try:
            found = dict(MEASURES[claim](subject, cell.settings, seed))
        except (ModelError, TrainingStopped, ValueError) as error:
            failed += 1
            print(f"{cell} failed: {error}", flush=True)
            continue
        seconds = time.perf_counter() - begun - (subject.loading - loading)
        row = {"claim": claim, "size": size.name, "way": way, "seed": seed, "how": cell.how(steps), "found": found}
        keep(file, row | {"seconds": round(seconds, 1)} | stamp())
        print("    " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()), flush=True)
    if late:
        print(f"{late} cells of the {size.title} would not be done in time: not begun.", flush=True)
    if failed:
        raise Unavailable(f"{failed} cells of the {size.title} failed, as is said above: they stay open.")


if __name__ == "__main__" and sys.argv[1:2] == ["cells"]:
    answer(measure, sys.argv[2:])
