"""Ctrl-C that waits: the first one only asks, so that nothing is cut in half, and a second one is raised at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Ctrl-C, and what `kill`, `timeout` and a container's stop send.
STOPS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def sigterm_is_ctrl_c() -> Iterator[None]:
    """While the block runs, SIGTERM raises KeyboardInterrupt, as Ctrl-C does.

    A command that a shell started in the background ignores Ctrl-C, and SIGTERM is the only way to stop it with care.
    A SIGTERM that is not ours to handle stays as it is.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def first_one_asks() -> Iterator[Callable[[], bool]]:
    """While the block runs, the first interrupt only asks to stop; a second one is raised at once.

    Yields a function that says whether it was asked. Where interrupts are not ours to handle, they stay as they are.
    """
    asked = threading.Event()

    def ask(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    main = threading.current_thread() is threading.main_thread()
    ours = [stop for stop in STOPS if main and signal.getsignal(stop) is signal.default_int_handler]
    for stop in ours:
        signal.signal(stop, ask)
    try:
        yield asked.is_set
    finally:
        for stop in ours:
            signal.signal(stop, signal.default_int_handler)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """After the block, what stops this process is handled as before: a library may have put its own handlers there."""
    main = threading.current_thread() is threading.main_thread()
    before = {stop: signal.getsignal(stop) for stop in STOPS if main}
    try:
        yield
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)
