"""SHA256SUMS: what the files of a folder were when they were written, in the format that `sha256sum -c` reads."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from .files import write_text

SUMS = "SHA256SUMS"

_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in 64 hex digits. Raises OSError when it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Note in `folder`'s SHA256SUMS what its files `names` are now; lines for other files stay as they are."""
    noted = {name: digest for digest, name in _noted(folder)} | {name: sha256(folder / name) for name in names}
    write_text(folder / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(noted.items())))


def damaged(folder: Path, below: str = "") -> list[str]:
    """The files that `folder`'s SHA256SUMS names and that are not, or no longer, what they were; [] where it has none.

    `below`, such as "persona/", looks at the names alone that begin with it.
    """
    named = [(digest, name) for digest, name in _noted(folder) if name.startswith(below)]
    return [name for digest, name in named if not _is(folder / name, digest)]


def undamaged(folder: Path) -> list[str]:
    """The files that `folder`'s SHA256SUMS names and that are what they were; [] where it has none."""
    return [name for digest, name in _noted(folder) if _is(folder / name, digest)]


def _is(path: Path, digest: str) -> bool:
    try:
        return path.is_file() and sha256(path) == digest
    except OSError:
        return False


def _noted(folder: Path) -> list[tuple[str, str]]:
    """(digest, name) of each line of `folder`'s SHA256SUMS; a line of another kind is passed over."""
    try:
        text = (folder / SUMS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [(match[1], match[2]) for line in text.splitlines() if (match := _LINE.fullmatch(line))]
