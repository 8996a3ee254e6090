"""`copies` and `class`: what a teacher gives to a class, and how what comes back is marked."""

from __future__ import annotations

import os
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from lora_lessons.errors import refuse, require
from lora_lessons.files import check_file, check_folder, refuse_existing, write_text
from lora_lessons.outside import in_line

from .options import EXIT_OK, absolute_path, in_switches, shown


def copies(
    folder: Annotated[
        Path, typer.Argument(parser=absolute_path, metavar="DIR", help="Where they go; work that is there stays.")
    ],
    without_solutions: Annotated[
        bool, typer.Option("--without-solutions", help="Leave out the folded solutions of the exercises.")
    ] = False,
) -> int:
    """Copy the notebooks as learners get them, without stored outputs.

    Hints and checks stay. A folder that was filled --without-solutions stays without them, whatever copies there later.
    """
    from lora_lessons.run.lab import copy_lessons

    check_folder(folder)
    for line in copy_lessons(folder, solutions=not without_solutions):
        print(line, file=sys.stderr)
    print(f"The notebooks are in {shown(folder)}. `lora-lessons lab` opens the lessons of a folder called my_lessons.")
    return EXIT_OK


MARKS = Path("marks.csv")


def mark_class(
    folder: Annotated[
        Path, typer.Argument(parser=absolute_path, metavar="FOLDER", help="A folder for each student, with notebooks.")
    ],
    out: Annotated[Path, typer.Option(parser=absolute_path, metavar="FILE", help="Where the table goes.")] = MARKS,
    seconds: Annotated[
        float, typer.Option(min=1, metavar="S", help="What one answer may take, its check included.")
    ] = 20,
    memory: Annotated[float, typer.Option(min=0.1, metavar="GB", help="What one answer may take beside Python.")] = 2,
    at_once: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="How many are judged side by side; as many as there are cores."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it is there.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Run the code also where this system does not keep it from your files.")
    ] = False,
) -> int:
    """Mark a class: every exercise of every student, by its check.

    This runs students' code: do it on Linux, in a container or a virtual machine that holds nothing else. Each answer
    has a process of its own, without a network. One that hangs, raises or cannot be read costs its row, and no more.
    """
    from tqdm.auto import tqdm

    from ..marking import judging

    refuse((sys.platform == "win32", "marking needs Linux: run it in WSL, or in a container."))
    require("nbformat")
    with in_switches():
        refuse_existing(shown(out), overwrite, "file")
    check_file(out)
    students = judging.students_in(folder)
    print(f"Students' code runs here: {len(students)} folders.", file=sys.stderr)
    with tqdm(unit=" answers", leave=False, disable=not sys.stderr.isatty()) as bar:
        at_once = at_once or os.cpu_count() or 1
        rows = judging.mark(students, seconds, int(memory * 1e9), at_once, anyway, lambda row: bar.update())
    write_text(out, judging.table(rows))
    for student, theirs in groupby(rows, lambda row: row.student):
        count = Counter(row.result for row in theirs)
        print(f"{in_line(student)}: {', '.join(f'{n} {result}' for result, n in count.most_common())}")
    print(f"The table is in {shown(out)}.")
    return EXIT_OK


mark_class.__name__ = "class"  # as it is typed; Python keeps the word for itself
