"""Files written whole or not at all: built beside the target, then renamed onto it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .leftovers import remove_leftovers, temporary_prefix


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path; when the block ends without an error, it becomes `path`.

    A crash, a full disk or a kill leaves the old file (or none), never half of a new one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, path.name)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=temporary_prefix(path.name))
    os.close(handle)
    temporary = Path(name)
    temporary.chmod(0o666 & ~_umask())
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path | str) -> Iterator[Path]:
    """Yield a temporary folder; when the block ends without an error, it becomes `path`.

    An existing folder at `path` is replaced only after the new one is complete.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, path.name)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=temporary_prefix(path.name)))
    temporary.chmod(0o777 & ~_umask())
    old = temporary.with_name(temporary.name + ".old")
    try:
        yield temporary
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
    finally:
        if old.exists() and not path.exists():  # the last step failed: the old folder goes back
            os.replace(old, path)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    """The process's umask: mkstemp and mkdtemp are stricter than an ordinary file or folder."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(path: Path | str) -> str:
    """The text of a file in UTF-8, without its byte-order mark. Raises ValueError, which names it, when it is none."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start + 1} is not UTF-8: save the file as UTF-8.") from error


def check_folder(path: Path | str) -> None:
    """Raise NotADirectoryError or PermissionError where `path` cannot be a folder to write into: ask before any work."""
    path = Path(path).absolute()
    place = next(folder for folder in (path, *path.parents) if folder.exists())
    if not place.is_dir():
        raise NotADirectoryError(f"{place} is a file, and a folder is needed there: choose another, or move it away.")
    if not os.access(place, os.W_OK):
        raise PermissionError(f"{place} may not be written to: choose another folder.")


def check_file(path: Path | str) -> None:
    """Raise OSError where `path` cannot be a file to write: ask before any work."""
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path} is a folder, and a file is needed there: name a file in it.")
    check_folder(Path(path).absolute().parent)
