"""`lora-lessons adapters`: train and score the course's own adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .exits import EXIT_OK
from .places import place


def adapters(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(metavar="TASK", help="persona, plain_language, code_style, strict_json; none means all."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=place, metavar="DIR", help="Where they go; otherwise data/adapters, for maintainers."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="The seed of every run.")] = 0,
) -> int:
    """Train and score the adapters of lesson 09.

    They are saved in PEFT's format, in 16 bits.
    """
    from ..experiments import shipped_adapters

    shipped_adapters.make(tasks or tuple(shipped_adapters.ABOUT), out, seed)
    return EXIT_OK
