"""One process at a time in a run's folder: the next one waits, and then reads back what the first has finished."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from .interrupts import Interrupted

LOCK = ".lock"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """While the block runs, no other process is in `folder` under this lock; says so once when it has to wait for one.

    A killed process holds it no longer. Where no lock can be had, on a read-only disk say, the block runs without one.
    Raises Interrupted when it is stopped while it waits.
    """
    lock = _taken(folder)
    try:
        yield
    finally:
        if lock:
            lock.release()


def _taken(folder: Path) -> FileLock | None:
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        try:
            print("Another process is training this very run: waiting until it ends.", flush=True)
            lock.acquire(poll_interval=0.2)
        except KeyboardInterrupt:
            said = "Stopped while another process trains this run; run this cell again to go on."
            raise Interrupted(said) from None
    except (OSError, NotImplementedError):
        return None
    return lock
