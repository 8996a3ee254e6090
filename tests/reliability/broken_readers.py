"""Readers that fail in every way that the net must catch. Each is named after what it must be counted as."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reliability.readers import Reader

GOOD = "The file holds another word than it should: write it again."


def _valid(box: Path) -> None:
    (box / "word.txt").write_text("valid")
    (box / "beside.txt").write_text("beside")


def _raises(error: BaseException) -> Callable[[Path], Any]:
    def fails(box: Path) -> Any:
        raise error

    return fails


def _calls(box: Path) -> None:
    with contextlib.suppress(OSError), socket.socket() as there:
        there.settimeout(0.01)
        there.connect(("192.0.2.1", 80))


def _elsewhere(box: Path) -> None:
    place = box.parent / "elsewhere.txt"
    place.write_text("x")
    place.unlink()


FAULTS: dict[str, Callable[[Path], Any]] = {
    "sentence: as it should be": _raises(ValueError(GOOD)),
    "right: another word, which is as good": lambda box: "other",
    "traceback: an error of another type": _raises(KeyError(GOOD)),
    "traceback: no sentence": _raises(ValueError("Expecting value")),
    "traceback: the process dies": lambda box: os.kill(os.getpid(), signal.SIGSEGV),
    "traceback: the process ends": lambda box: os._exit(3),
    "hang: it sleeps": lambda box: time.sleep(99),
    "memory: it asks for everything": lambda box: bytearray(1 << 40),
    "memory: it takes three times as much": lambda box: len(b"x" * int(3.2 * _held())),
    "silent: another answer": lambda box: "another answer",
    "silent: it changes a file beside": lambda box: (box / "beside.txt").write_text("changed"),
    "silent: it takes its input away": lambda box: (box / "word.txt").unlink(),
    "silent: it writes elsewhere": _elsewhere,
    "silent: it calls somebody": _calls,
    "silent: what it read is wrong": lambda box: "wrong",
}


def _held() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _reader(name: str, fault: Callable[[Path], Any]) -> Reader:
    def read(box: Path) -> Any:
        return "valid" if (box / "word.txt").read_text() == "valid" else fault(box)

    def wrong(found: Any) -> str:
        return "it is wrong" if found == "wrong" else ""

    checked = name == "silent: another answer"
    return Reader(name, "text", "word.txt", _valid, (ValueError,), read, checked, (), wrong, 1.0)


BROKEN = {name: _reader(name, fault) for name, fault in FAULTS.items()}
