"""What an experiment measured once: a file of data/measurements/, with the machine, the date and the versions.

Its last field is the SHA-256 of the others, so that a file which was damaged, or changed by hand, is not quoted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import first_line
from ..files import write_text
from ..machine import stamp
from ..paths import measurements

DIGEST = "sha256"
AGAIN = "restore it from git, or record it anew (data/README.md says how)."


def recorded(name: str) -> dict[str, Any]:
    """A recording that lessons quote. Raises FileNotFoundError when the checkout lacks it, ValueError as `read`."""
    return read(measurements() / f"{name}.json")


def read(file: Path) -> dict[str, Any]:
    """The recording in `file`.

    Raises FileNotFoundError when there is none, ValueError when it is not as it was recorded.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no {file.name} in {file.parent}: {AGAIN}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file.name} is damaged ({first_line(error)}): {AGAIN}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{file.name} is damaged (it holds no fields by name): {AGAIN}")
    if found.get(DIGEST) not in (None, digest(found)):
        raise ValueError(f"{file.name} is not as it was recorded: {AGAIN}")
    return found


def keep(name: str, found: Mapping[str, Any], out: Path | None = None) -> None:
    """Write a recording, stamped, where `recorded` reads it, or to the file `out`."""
    write(out or measurements() / f"{name}.json", stamp() | dict(found))


def by_command(module: str, name: str, record: Callable[[], Any], arguments: Sequence[str] | None = None) -> int:
    """`python -m MODULE --record`: record anew what `recorded(name)` reads."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--record", action="store_true", help=f"write data/measurements/{name}.json")
    if not parser.parse_args(arguments).record:
        parser.error("this takes some minutes and replaces the recording: say --record")
    record()
    return 0


def write(file: Path, found: Mapping[str, Any], indent: int = 1) -> None:
    """Write `found` as a recording, with its digest."""
    whole = {key: value for key, value in found.items() if key != DIGEST} | {DIGEST: digest(found)}
    write_text(file, json.dumps(whole, indent=indent, ensure_ascii=False) + "\n")


def digest(found: Mapping[str, Any]) -> str:
    """The SHA-256 of all fields but DIGEST, as JSON reads them back."""
    kept = json.loads(json.dumps({key: value for key, value in found.items() if key != DIGEST}))
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
