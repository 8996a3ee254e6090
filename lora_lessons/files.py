"""Where the course lies, and files written whole or not at all: built beside the target, then renamed onto it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ModelError(RuntimeError):
    """A base model could not be had; the message says why and what to do next."""


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path; when the block ends without an error, it becomes `path`.

    A crash, a full disk or a kill leaves the old file (or none), never half of a new one.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
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
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
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


def kernel_environment() -> dict[str, str]:
    """What a kernel's environment should hold unless the user says otherwise, set before torch is loaded.

    Threads that soon stop spinning while they wait: on a machine that is also doing something else, OpenMP's default
    (libgomp's, on Linux) makes a training step several times slower.
    """
    return {"GOMP_SPINCOUNT": "1000", "OMP_NUM_THREADS": str(min(8, os.cpu_count() or 1))} | dict(os.environ)


def course_root() -> Path:
    """The course's folder (it holds notebooks/ and data/): $LORA_LESSONS_ROOT, this checkout, or above the working folder."""
    places = [Path(__file__).resolve().parents[1], *(p for p in (Path.cwd(), *Path.cwd().parents))]
    if given := os.environ.get("LORA_LESSONS_ROOT"):
        places = [Path(given)]
    for place in places:
        if (place / "notebooks").is_dir() and (place / "data").is_dir():
            return place
    raise FileNotFoundError(
        f"the course's notebooks/ and data/ are not in {places[0]}: run inside the cloned course, or set LORA_LESSONS_ROOT to it."
    )
