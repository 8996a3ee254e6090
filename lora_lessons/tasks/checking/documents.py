"""One JSON list over many lines, as alpaca_data.json is: its elements one at a time, so that no list is held whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from ..jsonl import LONGEST_LINE

# What a list's structure is made of; in a string only its end, and what is escaped, matters.
PIECE = 65_536
_OUTSIDE, _INSIDE = re.compile(rb'["\[\]{},]'), re.compile(rb'\\.|"', re.S)


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """`file` in pieces of at most PIECE bytes or so, that end where a line does, or inside it, but not behind a backslash."""
    while piece := file.readline(PIECE):
        while piece.endswith(b"\\") and (more := file.read(1)):
            piece += more
        yield piece


def elements(found: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each element of the list that begins in these pieces: the number of its first line, and its bytes.

    An element may not be longer than LONGEST_LINE: of a longer one, one byte more is handed on, as of a long line.
    """
    element, first, number, depth, inside = bytearray(), 0, 1, 0, False
    for piece in found:
        at = start = 0
        while match := (_INSIDE if inside else _OUTSIDE).search(piece, at):
            at, mark = match.end(), match[0]
            if mark == b'"':
                inside = not inside
            elif mark in b"[{":
                depth += 1
                start = at if depth == 1 else start
            elif mark in b"]}":
                depth = max(depth - 1, 0)
            if not inside and depth == (1 if mark == b"," else 0):
                _grow(element, piece[start : at - 1])
                if element.strip():
                    yield first or number, bytes(element).strip()
                element, first, start = bytearray(), 0, at
        if depth and (element or piece[start:].strip()):
            first = first or number
            _grow(element, piece[start:])
        number += piece.endswith(b"\n")
    if element.strip():
        yield first, bytes(element).strip()


def _grow(element: bytearray, more: bytes) -> None:
    element += more[: max(LONGEST_LINE + 1 - len(element), 0)]
