"""The errors that say what to do next."""

from __future__ import annotations

import errno
import importlib.util
import os
import re

# How a disk says that it is full: all of it, this user's share, or what one file may take.
FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
# What a chat template raises where it did not expect such turns, besides jinja2.TemplateError.
STUMBLES = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class ModelError(RuntimeError):
    """A base model could not be had; the message says why and what to do next."""


class Unavailable(ModelError):
    """A base model could not be had here and now: no network, no room. The same command may do elsewhere, or later."""


class Faults(ValueError):
    """Several faults of a file, each in a line of its own; any other message is one line."""


class Interrupted(KeyboardInterrupt):
    """Work that was stopped by Ctrl-C or a notebook's stop button. A notebook shows its sentence, and no traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def first_line(error: BaseException) -> str:
    """The first line of what a library said, at most 200 characters: enough for a sentence of ours.

    With the line after it, where the first ends with a colon.
    """
    first, *more = str(error).strip().splitlines() or [type(error).__name__]
    line = f"{first} {more[0].strip()}" if first.endswith(":") and more else first
    if first.startswith("Exceeds the limit ("):
        return "it holds a number of thousands of digits"
    # a reader of sentences need not know what Python calls it
    return re.sub(r"<class '([\w.]+)'>", r"\1", re.sub(r"\b[A-Z]\w+(?:Error|Exception): ", "", line))[:200]


def disk_is_full(error: BaseException) -> bool:
    """Whether a file could not be written for lack of room. safetensors and we say so in words, and give no number."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL
    return bool(re.search(r"no space left|disk quota|: make room|os error (27|28|122)\b", str(error), re.IGNORECASE))


def memory_ran_out(error: BaseException) -> bool:
    """Whether there was no memory left, of the machine or of a card. torch says so in its words,
    and in no type of its own."""
    wordings = r"out of memory|not enough memory|can.?t allocate memory|cannot allocate memory"
    return isinstance(error, MemoryError) or bool(re.search(wordings, str(error), re.IGNORECASE))


def cache_advice(error: BaseException, room: str = "some room") -> str:
    """What to do about a file of the cache that could not be written: make room for it, or have another folder."""
    if disk_is_full(error):
        return f"free {room} there, or set LORA_LESSONS_CACHE to a folder with room"
    return "set LORA_LESSONS_CACHE to a folder that you may write to"


def may_not_read(path: str | os.PathLike[str]) -> str:
    """What to say of a file that is there, and that this user has no right to read: it is not damaged."""
    return f"you may not read {os.fspath(path)}: ask its owner for a copy, or change its rights (chmod a+r)."


def in_words(error: OSError) -> str:
    """What went wrong with which file, and what to do. A sentence of ours comes back as it is."""
    if error.errno is None:
        return str(error)
    where = os.fspath(error.filename) if isinstance(error.filename, str | os.PathLike) else "a file"
    if (error.strerror or "").startswith("No usable temporary directory"):
        return "no temporary folder can be written to: make room in it, or set TMPDIR to a folder with room."
    if disk_is_full(error):
        return f"the disk is full: {where} could not be written. Make room there, or choose another folder."
    if error.errno == errno.EACCES and os.path.exists(where) and not os.access(where, os.R_OK):
        return may_not_read(where)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where} is not yours to read or write ({error.strerror}): choose another folder, or change its rights."
    if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
        return f"{where} is in the way ({error.strerror}): choose another path, or move what is there."
    if error.errno == errno.ENOENT:
        return f"there is no {where}: check the path."
    return f"{where} cannot be used ({error.strerror}): check it, or choose another."


def holding(*reasons: tuple[object, str]) -> list[str]:
    """The sentences whose reason holds."""
    return [sentence for holds, sentence in reasons if holds]


def refuse(*reasons: tuple[object, str]) -> None:
    """Raise ValueError with the first sentence whose reason holds; nothing where none does."""
    for sentence in holding(*reasons):
        raise ValueError(sentence)


def require(library: str) -> None:
    """Raise ModuleNotFoundError where `library` is not installed, before any work: a verb's extra may bring it."""
    if importlib.util.find_spec(library) is None:
        raise ModuleNotFoundError(f"No module named {library!r}", name=library)
