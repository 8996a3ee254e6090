"""`lora-lessons badges`: where the course lies on the web, written everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

from .exits import EXIT_OK


def badges(
    address: Annotated[
        str | None,
        typer.Argument(metavar="ADDRESS", help="https://github.com/OWNER/NAME; without it, pyproject.toml's."),
    ] = None,
) -> int:
    """Write a fork's address into every badge.

    It also goes into the set-up cells, the README and pyproject.toml.
    """

    from ..run import repository

    changed = repository.set_address(address or repository.address())
    for path in changed:
        print(f"{path.name}: rewritten.")
    print(f"{len(changed)} files changed.")
    return EXIT_OK
