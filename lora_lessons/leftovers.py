"""What a killed process left: temporaries are named after their process,
and those of a dead one are removed and said."""

from __future__ import annotations

import glob
import hashlib
import os
import platform
import re
import shutil
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

OLD = ".old"
# Bytes from which also what is removed quietly gets a word.
LARGE = 10_000_000
_TEMPORARY = re.compile(rf"\.(?P<name>.+)\.[0-9a-f]{{8}}-(?P<pid>\d+)-\w+?(?P<old>{re.escape(OLD)})?")


def temporary_prefix(name: str) -> str:
    """How a temporary's name begins: hidden, what it is to become, and which process of which machine makes it."""
    return f".{name}.{_machine()}-{os.getpid()}-"


def leftovers(folder: Path, name: str | None = None) -> list[Path]:
    """The temporaries in `folder` whose process, one of this machine, has ended; with `name`,
    those of that name alone."""
    import psutil

    ended = []
    for path in sorted(folder.glob(f".{glob.escape(name) if name else '*'}.{_machine()}-*")):
        match = _TEMPORARY.fullmatch(path.name)
        if match and name in (None, match["name"]) and not psutil.pid_exists(int(match["pid"])):
            ended.append(path)
    return ended


def remove_leftovers(folder: Path, name: str | None = None, *, quietly: bool = False) -> None:
    """Remove what killed processes left in `folder` (see `leftovers`), and say how much it was; `quietly`:
    if it is LARGE.

    A folder that was moved out of the way, for a new one that never came, goes back to its place.
    """
    for path in leftovers(folder, name):
        with suppress(OSError):  # another process is removing it too, or it is not ours to remove
            _remove(path, quietly)


def _remove(path: Path, quietly: bool) -> None:
    match = _TEMPORARY.fullmatch(path.name)
    if match and match["old"] and not path.with_name(match["name"]).exists():
        os.replace(path, path.with_name(match["name"]))
        return
    link = path.is_symlink()  # another user's, in a folder that all may write, may lead anywhere
    inside = () if link else path.rglob("*")
    size = sum(file.lstat().st_size for file in (path, *inside) if file.is_file())
    if path.is_dir() and not link:
        shutil.rmtree(path)
    else:
        path.unlink()
    if size >= LARGE or not quietly:
        print(
            f"Removed {path.name}, {size / 1e6:,.1f} MB that a killed process left in {path.parent}.", file=sys.stderr
        )


@cache
def _machine() -> str:
    """This machine in 8 hex digits: on a shared disk, the process number of another machine says nothing here."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]
