"""The errors that say what to do next."""

from __future__ import annotations


class ModelError(RuntimeError):
    """A base model could not be had; the message says why and what to do next."""


def first_line(error: BaseException) -> str:
    """The first line of what a library said, at most 200 characters: enough for a sentence of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
