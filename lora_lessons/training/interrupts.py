"""Stopping a training by hand: between two steps, so that none is cut in half, and with one sentence."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import Interrupted as Interrupted


def stopped(done: int, kept: int) -> str:
    """What to say when training is stopped after `done` steps, of which the checkpoint has `kept`."""
    if kept == 0:
        return f"Stopped after step {done}; run this cell again to start from the beginning."
    step = "" if kept == done else f" from step {kept}"
    return f"Stopped after step {done}; run this cell again to go on{step}."


def finished() -> str:
    """What to say when training was asked to stop during its last step."""
    return "Stopped after the last step, so this training is finished and kept; run this cell again to go on."


@contextmanager
def stopping_between_steps() -> Iterator[Callable[[], bool]]:
    """While the block runs, the first interrupt only asks to stop, so that no step is cut in half; a second one does it.

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
