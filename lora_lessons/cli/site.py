"""`lora-lessons site`: the course as web pages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .exits import EXIT_OK
from .places import place, shown


def site(
    out: Annotated[
        Path, typer.Option("--out", parser=place, metavar="DIR", help="The folder that the site is written into.")
    ] = Path("course-report/site"),
) -> int:
    """Write the course as web pages.

    It needs no server and no network: the stored notebooks become pages, and the widgets answer from what is baked in.
    """
    from ..lessons import rooms
    from ..run.site.build import check_extra, check_place, stored, write_site

    check_extra()
    check_place(out)
    rooms()  # each registers its claims, and the widgets that the web gets
    index = write_site(stored(), out, progress=lambda line: print(line, file=sys.stderr))
    print(f"The site is written: open {shown(index)} in a browser.")
    return EXIT_OK
