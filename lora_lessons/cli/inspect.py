"""`lora-lessons inspect`: what any adapter that PEFT wrote contains, and what will go wrong with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from .exits import EXIT_OK
from .places import place, place_or_name, shown


def inspect(
    adapter: Annotated[
        str, typer.Argument(parser=place_or_name, metavar="ADAPTER", help="The adapter's folder, or a hub id.")
    ],
    base: Annotated[
        str | None,
        typer.Option(parser=place_or_name, metavar="MODEL", help="Its base: embedded, a folder, or a hub id."),
    ] = None,
    forgetting: Annotated[
        bool, typer.Option("--forgetting", help="With --base: load it, and let it read general text with and without.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    html: Annotated[
        Path | None, typer.Option(parser=place, metavar="FILE", help="Also write a page with the picture.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it exists.")] = False,
) -> int:
    """What an adapter contains, and what will go wrong with it.

    Also says which programs load it. It is only read, and a pickle is refused.
    The exit status is 0 whatever is found.
    """
    if forgetting and base is None:
        raise ValueError("--forgetting needs the base: name it with --base.")
    if html is not None and html.exists() and not overwrite:
        raise FileExistsError(f"{shown(html)} exists: choose another file, or add --overwrite.")
    from .. import inspection

    if base is not None and sys.stderr.isatty():
        print("Comparing the adapter with its base: this takes up to half a minute.", file=sys.stderr)
    xray = inspection.inspect(adapter, base, forgetting=forgetting)
    if html is not None:
        from ..course import adapter_picture
        from ..files import write_text

        write_text(html, adapter_picture.page(xray))
    if as_json:
        print(json.dumps(inspection.as_json(xray), indent=1, ensure_ascii=False))
    else:
        print(inspection.in_words(xray))
        if html is not None:
            print(f"\nThe picture is in {shown(html)}.")
    return EXIT_OK
