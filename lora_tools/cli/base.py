"""`base`: the models that are fetched by name; which of them are on the disk, and how to have one or be rid of it."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from lora_lessons.outside import in_json

from .as_json import AsJson
from .options import EXIT_OK


class Offered(NamedTuple):
    """A base that has a name of its own, and what of it is on the disk."""

    name: str
    title: str
    here: bool
    # of the folder with all that was fetched and made of it; 0 where there is none
    bytes_on_disk: int
    bytes_to_fetch: int
    licence: str
    source: str
    folder: Path


def base(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The base to fetch; without it, all of them are listed.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove it from the disk; the next use fetches it.")] = False,
    as_json: AsJson = False,
) -> int:
    """List, fetch or remove the bases that have a name.

    Nothing but the embedded one is fetched unless you name it, here or as the model of another command. A fetch that
    was cut off goes on where it was.
    """
    from lora_lessons import models
    from lora_lessons.models.embedded import remove_made

    if name is None:
        if remove:
            raise ValueError("--remove needs the name of a base: `lora-lessons base` lists them.")
        _show(_offered(), as_json)
        return EXIT_OK
    one = _called(name)
    if remove:
        freed = remove_made(one.folder, one.title)
        removed = {"name": one.name, "freed_bytes": freed}
        print(in_json(removed) if as_json else f"{one.name}: {freed / 1e6:,.0f} MB are free again.")
        return EXIT_OK
    fetch = models.named(one.name)
    place = models.named_file(fetch) if fetch else models.embedded_folder()
    if as_json:
        _show([_called(name)], as_json)
    else:
        print(
            f"{one.title} is in {place}, checked against its SHA-256. "
            f"Name it as {one.name} wherever a base is asked for."
        )
        if fetch:
            print(
                f"{one.source}: whichever it came from, the file's SHA-256 is its makers', {fetch.sha256}. "
                "The packages are unpacked for their data alone: nothing of them is installed or run."
            )
    return EXIT_OK


def _offered() -> list[Offered]:
    from lora_lessons import models
    from lora_lessons.files import bytes_in

    embedded = models.embedded_place()
    return [
        Offered(
            models.EMBEDDED,
            models.EMBEDDED_NAME,
            models.is_whole(embedded / "model.safetensors"),
            bytes_in(embedded),
            models.EMBEDDED_FETCHED,
            models.EMBEDDED_LICENCE,
            f"pip's {models.EMBEDDED_PACKAGE}",
            embedded,
        ),
        *(
            Offered(
                one.name,
                one.title,
                one.place.is_file(),
                bytes_in(one.place.parent),
                one.size,
                one.licence,
                one.source,
                one.place.parent,
            )
            for one in models.NAMED.values()
        ),
    ]


def _called(name: str) -> Offered:
    """The base of a name or title. Raises ValueError, with the nearest one, where none is called so."""
    bases = _offered()
    if found := next((one for one in bases if name in (one.name, one.title)), None):
        return found
    near = difflib.get_close_matches(name.lower(), [one.name for one in bases], n=1)
    meant = f"did you mean {near[0]}? They are" if near else "they are"
    raise ValueError(f"no base is called {name!r} here: {meant} {', '.join(one.name for one in bases)}.")


def _show(bases: list[Offered], as_json: bool) -> None:
    if as_json:
        print(in_json([one._asdict() | {"folder": str(one.folder)} for one in bases]))
        return
    for one in bases:
        print(f"{one.name:<20} {one.title}, {_state(one)}")
        print(f"{'':<20} {one.licence}, from {one.source}")


def _state(one: Offered) -> str:
    if one.here:
        return f"here: {one.bytes_on_disk / 1e6:,.0f} MB in {one.folder}"
    cut = f"; {one.bytes_on_disk / 1e6:,.0f} MB of it have come" if one.bytes_on_disk else ""
    return f"not here: {one.bytes_to_fetch / 1e6:,.0f} MB to fetch{cut}"
