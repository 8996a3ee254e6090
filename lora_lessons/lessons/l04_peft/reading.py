"""Pieces of installed source code, to be read in the lesson."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def heart(function: Callable[..., Any], first: str, last: str) -> str:
    """The source of `function` from the line that holds `first` to the next one that holds `last`."""
    lines = inspect.getsource(function).splitlines()
    start = next(i for i, line in enumerate(lines) if first in line)
    end = next(i for i, line in enumerate(lines) if i >= start and last in line)
    return textwrap.dedent("\n".join(lines[start : end + 1]))


def length(thing: Any) -> int:
    """How many lines of source it has where you sit."""
    return len(inspect.getsource(thing).splitlines())
