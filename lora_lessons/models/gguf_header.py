"""A GGUF's header, walked before a library reads it: the reader believes every count, and a damaged one never ends.

magic · version · how many tensors · how many fields ── fields: key, type, value ── tensors: name, sizes, type, offset
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from ..files import check_readable

MAGIC = b"GGUF"
STRING, ARRAY = 8, 9
# Bytes of a value by its type: 8, 16 and 32 bits, truth, 64 bits.
WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
# A field takes at least a key's length, a type and one byte; a tensor a name's length, sizes, a type and an offset.
LEAST_FIELD, LEAST_TENSOR, MOST_SIZES = 13, 24, 8


def check_header(file: Path | str) -> dict[str, tuple[int, ...]]:
    """The sizes of the tensors of `file` by name, the fastest-running one first, as its header lists them.

    Raises ValueError where the header counts more than the file holds; OSError where it cannot be read.
    """
    check_readable(file)
    with open(file, "rb") as opened:
        if opened.read(4) != MAGIC:
            raise ValueError("it does not begin as a GGUF")
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Walk(data).through()


class _Walk:
    """A place in a file, and steps from there that never leave it."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at, self.order = data, 4, "<"

    def through(self) -> dict[str, tuple[int, ...]]:
        """From the version to the end of the header; the tensors' sizes by name."""
        if self.number("I") & 0xFFFF == 0:  # written on a machine of the other byte order
            self.order = ">"
        tensors, fields = self.number("Q"), self.number("Q")
        if tensors * LEAST_TENSOR + fields * LEAST_FIELD > len(self.data):
            raise ValueError(f"it says that it has {tensors} tensors and {fields} fields, more than it has room for")
        for _ in range(fields):
            self.skip(self.number("Q"))
            self.value(self.number("I"))
        shapes = {}
        for _ in range(tensors):
            begins = self.at + 8
            self.skip(self.number("Q"))
            name = self.data[begins : self.at].decode("utf-8", "replace")
            sizes = self.number("I")
            if sizes > MOST_SIZES:
                raise ValueError(f"one of its tensors has {sizes} dimensions")
            shapes[name] = tuple(self.number("Q") for _ in range(sizes))
            self.skip(12)
        return shapes

    def number(self, form: str) -> int:
        """The whole number here, of 32 bits ("I") or 64 ("Q")."""
        width = struct.calcsize(f"<{form}")
        self.skip(width)
        return int(struct.unpack_from(self.order + form, self.data, self.at - width)[0])

    def skip(self, length: int) -> None:
        """On by `length` bytes."""
        if length > len(self.data) - self.at:
            raise ValueError("it ends in the middle of its header")
        self.at += length

    def value(self, kind: int) -> None:
        """Past a value of this type."""
        if kind == STRING:
            self.skip(self.number("Q"))
        elif kind == ARRAY:
            of, length = self.number("I"), self.number("Q")
            if of in WIDTHS:
                self.skip(WIDTHS[of] * length)
                return
            if of != STRING:  # lists of lists are read by nobody
                raise ValueError(f"it holds a list of the unknown type {of}")
            if 8 * length > len(self.data) - self.at:
                raise ValueError("it ends in the middle of its header")
            for _ in range(length):
                self.skip(self.number("Q"))
        elif kind in WIDTHS:
            self.skip(WIDTHS[kind])
        else:
            raise ValueError(f"it holds a value of the unknown type {kind}")
