"""Ctrl-C that waits: the first one only asks, so that nothing is cut in half, and a second one is raised at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


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
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield asked.is_set
        return
    signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
