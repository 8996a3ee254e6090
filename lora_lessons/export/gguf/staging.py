"""Files that appear together: made in a hidden folder beside their places, moved when all are whole, gone on with after a kill."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ...files import write_text
from ...leftovers import leftovers, remove_leftovers, temporary_prefix

STAGING = "export"
MADE_FROM, MOVING = "made_from.json", "moving.json"


@contextmanager
def all_or_none(out: Path, names: Sequence[str], made_from: Mapping[str, Any]) -> Iterator[Path]:
    """Yield a folder for the files `names`; when the block ends without an error, they move to the folder `out`.

    What an export that was killed had finished of the same things (`made_from`, in JSON's types) lies in it already;
    other leftovers in `out` are removed, and said.
    """
    new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    staging = _begun(out, made_from)
    try:
        remove_leftovers(out)
        write_text(staging / MADE_FROM, json.dumps(made_from))
        yield staging
        write_text(staging / MOVING, json.dumps(list(names)))
        _move(staging, names, out)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        if new:
            with suppress(OSError):  # not empty: another program's
                out.rmdir()
        raise


def finish_moving(out: Path, names: Sequence[str], made_from: Mapping[str, Any]) -> bool:
    """End what exports that were killed while their files moved to `out` had begun; whether all of `names` came so."""
    came = False
    for staging in leftovers(out, STAGING) if out.is_dir() else ():
        moving = _read(staging / MOVING)
        if isinstance(moving, list):
            of_these = _read(staging / MADE_FROM) == made_from
            _move(staging, moving, out)
            print(f"Moved the last files of an export that was killed to {out}.", file=sys.stderr)
            came |= of_these and set(names) <= set(moving)
    return came and all((out / name).is_file() for name in names)


def _begun(out: Path, made_from: Mapping[str, Any]) -> Path:
    """A new folder in `out`, or that of a killed export of the same things, taken over with what is whole in it."""
    staging = Path(tempfile.mkdtemp(dir=out, prefix=temporary_prefix(STAGING)))
    for earlier in leftovers(out, STAGING):
        if _read(earlier / MADE_FROM) != made_from:
            continue
        staging.rmdir()
        try:
            os.rename(earlier, staging)
        except OSError:  # another process has just taken it over
            staging.mkdir(mode=0o700)
            continue
        remove_leftovers(staging)  # what it had begun and not finished
        finished = [file.name for file in staging.glob("*.gguf")]
        print(f"Going on with an export that was killed: {len(finished)} files were finished.", file=sys.stderr)
        break
    return staging


def _move(staging: Path, names: Sequence[str], out: Path) -> None:
    for name in names:
        if (staging / name).exists():
            os.replace(staging / name, out / name)
    shutil.rmtree(staging)


def _read(file: Path) -> Any:
    """What a JSON file says; None where there is none, or half of one."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
