"""`lora-lessons doctor`: what this machine can do."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from .exits import EXIT_OK


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> int:
    """Say what this machine can do.

    It also says how long each lesson takes, and whether it fits into the memory that is free here.
    """
    from ..run import doctor as probes

    found = probes.examine()
    print(json.dumps(found, indent=1, ensure_ascii=False) if as_json else probes.table(found))
    return EXIT_OK
