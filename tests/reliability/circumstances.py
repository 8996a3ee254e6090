"""Odd circumstances that a command may meet: each is put on in the fork that is to run it."""

import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

NOBODY = 54321  # a user without a name and without a home


def _disk_full(box: Path) -> None:
    """No file may grow beyond 4 kB: what a full disk does, where none can be filled."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def _read_only(box: Path) -> None:
    """Nothing in the box can be written but its temporary folder."""
    for path in [box, *box.rglob("*")]:
        if path != box / "tmp":
            path.chmod(0o555 if path.is_dir() else 0o444)
    _as_nobody(box)


def _as_nobody(box: Path) -> None:
    """root may write anywhere, so become somebody else, who owns the temporary folder."""
    if os.getuid() == 0:
        for folder in box.parents:
            if folder.stat().st_uid == 0 and str(folder).startswith(("/tmp/", "/var/")):
                folder.chmod(folder.stat().st_mode | 0o711)
        os.chown(box / "tmp", NOBODY, NOBODY)
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def _no_home(box: Path) -> None:
    """A user without a name and without $HOME, as in a container."""
    for name in ("HOME", "LORA_LESSONS_CACHE", "LORA_LESSONS_PROGRESS"):
        os.environ.pop(name, None)
    _give_to_nobody(box)
    _as_nobody(box)


def _give_to_nobody(box: Path) -> None:
    if os.getuid() == 0:
        for path in [box, *box.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)


def _forbid(file: Path, box: Path) -> None:
    """All of the box is this user's but `file`, which nobody may read."""
    _give_to_nobody(box)
    if os.getuid() == 0:
        os.chown(file, 0, 0)
    file.chmod(0)
    _as_nobody(box)


def _home_is(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def move(box: Path) -> None:
        make(box / "home" / name)
        os.environ["HOME"] = str(box / "home" / name)
        for gone in ("LORA_LESSONS_CACHE", "LORA_LESSONS_PROGRESS"):
            os.environ.pop(gone, None)

    return move


def _offline(box: Path) -> None:
    """Nobody beyond this machine can be called."""

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if (
            event == "socket.connect"
            and isinstance(given[1], tuple)
            and not str(given[1][0]).startswith(("127.", "::1"))
        ):
            raise OSError(101, "Network is unreachable")
        if event == "socket.getaddrinfo" and given[0] not in ("localhost", "127.0.0.1", None):
            raise socket.gaierror(-3, "Temporary failure in name resolution")

    sys.addaudithook(hook)
    os.environ["PIP_NO_INDEX"] = "1"


def _is_a_pipe(file: Path, box: Path) -> None:
    """A pipe that nobody writes to: who opens it waits for ever."""
    file.unlink()
    os.mkfifo(file)


ODD_FILES = {"is forbidden": _forbid, "is a pipe": _is_a_pipe}


class Circumstance:
    """What is odd, and whether the command must succeed all the same; a sentence is enough where it need not.

    `user`: root becomes somebody else for it, who may not be allowed to start this Python anew.
    """

    def __init__(self, put_on: Callable[[Path], None], works: bool = False, user: bool = False) -> None:
        self.put_on, self.works, self.user = put_on, works, user


CIRCUMSTANCES: dict[str, Circumstance] = {
    "a disk that is full": Circumstance(_disk_full),
    "folders that are read-only": Circumstance(_read_only, user=True),
    "no HOME and no name": Circumstance(_no_home, user=True),
    "a HOME with spaces and an umlaut": Circumstance(
        _home_is("Jörg 🙂's home/with  spaces", lambda home: home.mkdir(parents=True)), works=True
    ),
    "a HOME that is a file": Circumstance(_home_is("file", lambda home: home.write_text("x"))),
    "no network": Circumstance(_offline, works=True),
}
