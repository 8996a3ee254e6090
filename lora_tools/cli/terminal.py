"""What a command prints: the one place where characters that would steer a terminal are shown as escapes."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import textwrap
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from lora_lessons.outside import AS_JSON, visible

# How a progress bar moves: to the begin of its line, with what it says there, or to another line.
_MOVES = re.compile(r"\r|(?:\x1b\[A|\n)*\Z")


class Shown:
    """A stream that shows the text it is given as text, whoever writes it: a verb, a library, an error."""

    def __init__(self, stream: TextIO, bars: bool) -> None:
        self.stream, self._bars = stream, bars

    def write(self, text: str) -> int:
        """Write `text`. Where progress bars are drawn, what a write begins with may move them."""
        moves = _MOVES.match(text) if self._bars else None
        begin = moves.end() if moves else 0
        self.stream.write(text[:begin] + visible(text[begin:]))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "stream":  # not there yet, as in a copy that is being made
            raise AttributeError(name)
        return getattr(self.stream, name)


@contextmanager
def shown() -> Iterator[None]:
    """While the block runs, whatever is printed is shown as text; what goes to a stream that was closed, nowhere."""
    streams = sys.stdout, sys.stderr
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):  # what its encoding cannot hold is shown as JSON would escape it, too
            stream.reconfigure(errors=AS_JSON)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stdout, sys.stderr = Shown(sys.stdout or nowhere, bars=False), Shown(sys.stderr or nowhere, bars=True)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = streams


def print_coloured(text: str) -> None:
    """Print a text with colours of our own, in which what is another's has been made visible already."""
    print(text, file=getattr(sys.stdout, "stream", sys.stdout))


PATIENT = 2.0  # seconds without a word


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """While the block runs, once it has taken PATIENT seconds, a line that moves on standard error where that is a
    terminal."""
    over = threading.Event()

    def show() -> None:
        seconds = PATIENT
        while not over.wait(PATIENT if seconds == PATIENT else 1.0):
            print(f"\r{what}: {seconds:.0f} s", end="", file=sys.stderr, flush=True)
            seconds += 1

    shower = threading.Thread(target=show, daemon=True)
    if sys.stderr.isatty():
        shower.start()
    try:
        yield
    finally:
        over.set()
        if shower.is_alive():
            shower.join()
        if sys.stderr.isatty():
            print("\r" + " " * 40, end="\r", file=sys.stderr, flush=True)


def width() -> int:
    """How wide a line of text may be here."""
    return min(100, max(40, shutil.get_terminal_size((100, 24)).columns))


def wrapped(text: str) -> str:
    """A text, its longer lines as wide as the terminal, where standard output is one."""
    if not sys.stdout.isatty():
        return text
    how = {"subsequent_indent": "  ", "break_long_words": False, "break_on_hyphens": False}
    return "\n".join(
        line if len(line) <= width() else textwrap.fill(line, width(), **how)  # type: ignore[arg-type]
        for line in text.split("\n")
    )


def say(text: str, indent: int, hang: int, **how: Any) -> None:
    """Print a text in lines as wide as the terminal, the first indented by `indent` and the others by `hang`."""
    print(textwrap.fill(text, width(), initial_indent=" " * indent, subsequent_indent=" " * hang, **how))
