"""`lora-lessons new-lesson`: a lesson that runs, to begin from."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .exits import EXIT_OK


def new_lesson(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Number and name, such as 17_name.")],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help='What the lesson asks, such as "Which rank?".')],
) -> int:
    """Make a new lesson from the template.

    For maintainers: notebook, room, tests, syllabus row and baseline. The lesson passes the tests as it stands. Write yours over it, piece by piece.
    """
    from ..run.new_lesson import make

    print("Writing the lesson, and running it once for its outputs and its baseline …", file=sys.stderr)
    for path in make(name, question):
        print(path)
    return EXIT_OK
