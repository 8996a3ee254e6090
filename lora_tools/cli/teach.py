"""`copies`: what a teacher gives to a class."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lora_lessons.files import check_folder

from .options import EXIT_OK, absolute_path, shown


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
