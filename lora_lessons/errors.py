"""The errors that say what to do next."""

from __future__ import annotations


class ModelError(RuntimeError):
    """A base model could not be had; the message says why and what to do next."""


class Interrupted(KeyboardInterrupt):
    """Work that was stopped by Ctrl-C or a notebook's stop button. A notebook shows its sentence, and no traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def first_line(error: BaseException) -> str:
    """The first line of what a library said, at most 200 characters: enough for a sentence of ours.

    With the line after it, where the first ends with a colon.
    """
    first, *more = str(error).strip().splitlines() or [type(error).__name__]
    return (f"{first} {more[0].strip()}" if first.endswith(":") and more else first)[:200]
