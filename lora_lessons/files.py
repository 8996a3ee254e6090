"""Files written whole or not at all: built beside the target, synced to the disk, then renamed onto it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from .errors import FULL, may_not_read
from .leftovers import OLD, remove_leftovers, temporary_prefix

# What the files of a model's or an adapter's folder end in.
_OF_A_MODEL = (".json", ".jinja", ".model", ".safetensors")
# Bytes; the largest vocabularies have 40 MB.
MOST_SETTINGS = 500_000_000
_POINTER = b"version https://git-lfs"
# What a file manager puts into any folder that it shows.
_OF_THE_SYSTEM = {".DS_Store", "Thumbs.db", "desktop.ini"}


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path; when the block ends without an error, it becomes `path`.

    A crash, a full disk, a kill or a power cut leaves the old file (or none), never half of a new one. Of a link of the
    user's own, what it leads to is replaced. Raises OSError naming `path` when the disk is full,
    or a pipe or a device is there.
    """
    path = Path(os.path.realpath(path)) if _own_link(Path(path)) else Path(path)
    _refuse_device(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, path.name)
    with _named(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=temporary_prefix(path.name))
    os.close(handle)
    temporary = Path(name)
    try:
        with _named(path, temporary):
            yield temporary
            # not before: safetensors puts a file of its own in the temporary one's place
            temporary.chmod(0o666 & ~_umask())
            _sync(temporary)
            os.replace(temporary, path)
            _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path | str) -> Iterator[Path]:
    """Yield a temporary folder; when the block ends without an error, it becomes `path`.

    An existing folder at `path` is replaced only after the new one is complete and on the disk.
    Raises OSError naming `path` when the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, path.name)
    with _named(path):
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=temporary_prefix(path.name)))
    temporary.chmod(0o777 & ~_umask())
    old = temporary.with_name(temporary.name + OLD)
    try:
        with _named(path, temporary):
            yield temporary
            for folder, _, files in os.walk(temporary):
                for file in (Path(folder, name) for name in files):
                    if not file.is_symlink():
                        file.chmod(file.stat().st_mode | 0o666 & ~_umask())
                        _sync(file)
                _sync_folder(Path(folder))
            if os.path.lexists(path):  # a link gives way to the folder; what it leads to stays
                os.replace(path, old)
            os.replace(temporary, path)
            _sync_folder(path.parent)
    finally:
        if os.path.lexists(old) and not os.path.lexists(path):  # the last step failed: the old folder goes back
            os.replace(old, path)
        shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError):
            old.unlink()  # a link
        shutil.rmtree(old, ignore_errors=True)


def refuse_existing(path: Path, overwrite: bool, what: str = "folder") -> None:
    """Raise FileExistsError where something is at `path` that may not be replaced."""
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists: choose another {what}, or pass overwrite=True to replace it.")


def check_replaced(folder: Path | str, ours: Iterable[str], by: str = "export") -> None:
    """Raise OSError where a new folder of the files `ours` may not take the place of `folder`: ask before any work.

    It cannot be written to, holds a file that is not among `ours`, or is the working folder or above it.
    """
    folder = Path(folder)
    check_folder(folder)
    check_folder(folder.parent)
    if folder.exists() and Path.cwd().is_relative_to(folder.resolve()):
        raise FileExistsError(f"{folder} is where you are, and a new {by} would take its place: choose another folder.")
    if others := foreign(folder, ours):
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise FileExistsError(
            f"{folder} holds {others[0]}{more}, which no {by} of ours brought, and a new {by} replaces the whole "
            "folder: choose another folder, or move what is there."
        )


def foreign(folder: Path, ours: Iterable[str]) -> list[str]:
    """The files in `folder`, and below, that `ours` does not list, sorted;
    what a file manager puts there does not count."""
    known = set(ours)
    return sorted(name for name in files_in(folder) if name not in known and Path(name).name not in _OF_THE_SYSTEM)


def bytes_in(folder: Path) -> int:
    """What the files of `folder`, and below, take; 0 where there is no such folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def files_in(folder: Path) -> Iterator[str]:
    """Every file and link below `folder`, from there on, with forward slashes."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return (path.relative_to(folder).as_posix() for path in paths)


@contextmanager
def scratch(name: str, place: Path | str | None = None) -> Iterator[Path]:
    """Yield a folder that is there for the block alone, in `place` or in the system's temporary folder.

    Where the process is killed, the folder goes when the next one of this `name` is made, which is said of a large one.
    Raises OSError naming the folder when the disk is full.
    """
    folder = _new_scratch(name, place)
    try:
        with _named(folder, folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def lasting_scratch(name: str) -> Path:
    """A folder like that of `scratch`, which is there as long as this process is."""
    folder = _new_scratch(name, None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _new_scratch(name: str, place: Path | str | None) -> Path:
    where = Path(place or tempfile.gettempdir())
    remove_leftovers(where, name, quietly=True)
    return Path(tempfile.mkdtemp(dir=where, prefix=temporary_prefix(name)))


@contextmanager
def _named(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Let an error of the disk name `path`, and not the `temporary` one beside it or nothing at all."""
    try:
        yield
    except OSError as error:
        ours = error.filename is None or temporary is None or str(error.filename).startswith(str(temporary))
        if not ours or (error.filename is None and error.errno not in FULL):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _sync(path: Path) -> None:
    """Sync a file to the disk: renamed before that, it may be empty after a power cut."""
    # Windows syncs only what may be written to
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(path: Path) -> None:
    """Sync a folder's list of names to the disk, where the system can: Windows opens no folder,
    some network disks refuse."""
    if os.name != "nt":
        with suppress(OSError):
            _sync(path)


def set_aside(path: Path) -> Path:
    """Rename a damaged file to NAME.damaged-1, or the first number that is free, and return its new path."""
    for number in count(1):
        aside = path.with_name(f"{path.name}.damaged-{number}")
        if not aside.exists():
            break
    return path.rename(aside)


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
    """The text of a file in UTF-8, without its byte-order mark. Raises ValueError, which names it, when it is none,
    or too large."""
    check_readable(path)
    if (size := Path(path).stat().st_size) > MOST_SETTINGS:
        raise ValueError(f"{path} has {size / 1e9:.1f} GB, and no text that is read whole has that: give another file.")
    try:
        return Path(path).read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start + 1} is not UTF-8: save the file as UTF-8.") from error


def check_readable(path: Path | str) -> None:
    """Raise PermissionError where `path` is there, and this user may not read it: such a file is not damaged.

    Of a folder, its settings and its weights are looked at. Raises OSError for a pipe or a device, which may never end,
    and for what Git LFS left in place of the weights.
    """
    place = Path(path)
    inside = place.iterdir() if place.is_dir() and os.access(place, os.R_OK) else ()
    for one in (place, *(file for file in inside if file.suffix in _OF_A_MODEL)):
        if not one.exists():
            continue
        if not one.is_file() and not one.is_dir():
            raise OSError(f"{one} is a pipe or a device: write what it gives to a file, and put that in its place.")
        if not os.access(one, os.R_OK):
            raise PermissionError(may_not_read(one))
        if one != place and one.suffix != ".safetensors" and one.stat().st_size > MOST_SETTINGS:
            sentence = (
                f"{one} has {one.stat().st_size / 1e9:.1f} GB, and no model's settings have that: fetch it again."
            )
            raise OSError(sentence)
        if one.suffix == ".safetensors" and _begins(one, _POINTER):
            raise OSError(f"{one} is not the weights but Git LFS's pointer to them: run `git lfs pull` in that folder.")


def _begins(file: Path, beginning: bytes) -> bool:
    with open(file, "rb") as opened:
        return opened.read(len(beginning)) == beginning


def check_folder(path: Path | str) -> None:
    """Raise NotADirectoryError or PermissionError where `path` cannot be a folder to write into:
    ask before any work."""
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
    _refuse_device(Path(path))
    check_folder(Path(path).absolute().parent)


def _own_link(path: Path) -> bool:
    """Whether `path` is a link that this user made: somebody else's, in a folder for all, may lead to anything."""
    return path.is_symlink() and (os.name == "nt" or path.lstat().st_uid == os.getuid())


def _refuse_device(path: Path) -> None:
    """Raise OSError for a pipe or a device: root could put a file in the place of /dev/null."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(f"{path} is a pipe or a device, and a file is needed there: choose another name.")
