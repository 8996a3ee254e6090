"""For programs: the schemas of what --json prints, and what is printed where there is no answer."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from lora_lessons.outside import in_json

from .options import EXIT_OK

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document; `lora-lessons schema` says what is in it.")
]
SCHEMAS = Path(__file__).with_name("schemas")


def aside(as_json: bool) -> AbstractContextManager[Any]:
    """While the block runs, what is printed for people goes to standard error where a program reads the answer."""
    return redirect_stdout(sys.stderr) if as_json else nullcontext()


def refusal(sentence: str, status: int) -> str:
    """What --json prints in place of an answer: why there is none, and the exit status."""
    return in_json({"error": sentence, "status": status})


def written(files: Iterable[Path], notes: Sequence[str], commands: Sequence[str] = ()) -> str:
    """What --json prints of files that were written: their sizes in bytes, and the commands that use them."""
    return in_json(
        {
            "files": [{"path": str(file.absolute()), "bytes": file.stat().st_size} for file in files],
            "notes": notes,
            "commands": commands,
        }
    )


def schema(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="A command that has --json, or error; without it, all are listed."),
    ] = None,
) -> int:
    """Print the JSON Schema of what a command's --json prints.

    A document has the keys of its schema and no others. `error` is what every command prints where it has no answer.
    """
    known = sorted(file.stem for file in SCHEMAS.glob("*.json"))
    if name is None:
        print(*known, sep="\n")
        return EXIT_OK
    if name not in known:
        raise ValueError(f"there is no schema of {name!r}: choose one of {', '.join(known)}.")
    print((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"), end="")
    return EXIT_OK
