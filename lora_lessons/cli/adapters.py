"""`lora-lessons adapters`: train and score the course's own adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .exits import EXIT_OK
from .places import place, shown


def adapters(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(metavar="TASK", help="persona, plain_language, code_style, strict_json; none means all."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=place, metavar="DIR", help="Where they go; otherwise adapters/ in this folder."),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="For maintainers: replace the course's own, in its data/adapters/.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="S", help="The seed of every run.")] = 0,
) -> int:
    """Train and score the adapters of lesson 09.

    They are saved in PEFT's format, in 16 bits.
    """
    from ..experiments import shipped_adapters

    if out and record:
        raise ValueError("--record writes into the course's data/: leave out --out, or --record.")
    out = out or (None if record else place("adapters"))
    shipped_adapters.make(tasks or tuple(shipped_adapters.ABOUT), out, seed)
    if out:
        print(f"Written: {shown(out)}")
    return EXIT_OK
