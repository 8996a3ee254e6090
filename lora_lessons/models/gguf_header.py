"""A GGUF's header, walked before a library reads it: the reader believes every count, and a damaged one never ends.

magic · version · how many tensors · how many fields ── fields: key, type, value ── tensors: name, sizes, type, offset
"""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path
from typing import Any, NamedTuple

from ..files import check_readable

MAGIC = b"GGUF"
STRING, ARRAY = 8, 9
# How a value of each type is unpacked: 8, 16 and 32 bits, truth, 64 bits.
FORMS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
# A field takes at least a key's length, a type and one byte; a tensor a name's length, sizes, a type and an offset.
LEAST_FIELD, LEAST_TENSOR, MOST_SIZES = 13, 24, 8


# Where the numbers of a tensor may begin, in bytes, unless a field says otherwise.
ALIGNMENT = 32


class Listed(NamedTuple):
    """A tensor as a GGUF's header lists it."""

    # The fastest-running size first: the other way round than PyTorch.
    sizes: tuple[int, ...]
    # llama.cpp's number of the type: 0 is F32, 12 is Q4_K …
    type: int
    # Bytes from the beginning of the file to its own.
    offset: int


class Header(NamedTuple):
    """What stands before the numbers of a GGUF."""

    # Those of one value; lists, such as the vocabulary, are passed over.
    fields: dict[str, Any]
    tensors: dict[str, Listed]
    # Written on a machine of the other byte order, and so are the numbers.
    swapped: bool


def read_header(file: Path | str) -> Header:
    """The fields and the list of tensors of `file`; nothing of the numbers is read.

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

    def through(self) -> Header:
        """From the version to the end of the header."""
        if self.number("I") & 0xFFFF == 0:  # written on a machine of the other byte order
            self.order = ">"
        tensors, fields = self.number("Q"), self.number("Q")
        if tensors * LEAST_TENSOR + fields * LEAST_FIELD > len(self.data):
            raise ValueError(f"it says that it has {tensors} tensors and {fields} fields, more than it has room for")
        said = {self.text(): self.value(self.number("I")) for _ in range(fields)}
        listed = {self.text(): self.tensor() for _ in range(tensors)}
        alignment = said.get("general.alignment", ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1:
            raise ValueError(f"it says that its tensors are aligned to {alignment} bytes")
        begins = math.ceil(self.at / alignment) * alignment
        listed = {name: one._replace(offset=begins + one.offset) for name, one in listed.items()}
        return Header({name: value for name, value in said.items() if value is not None}, listed, self.order == ">")

    def tensor(self) -> Listed:
        """The sizes, the type and the offset here, which counts from where the first tensor begins."""
        sizes = self.number("I")
        if sizes > MOST_SIZES:
            raise ValueError(f"one of its tensors has {sizes} dimensions")
        return Listed(tuple(self.number("Q") for _ in range(sizes)), self.number("I"), self.number("Q"))

    def text(self) -> str:
        """The text here."""
        length = self.number("Q")
        self.skip(length)
        return self.data[self.at - length : self.at].decode("utf-8", "replace")

    def number(self, form: str) -> Any:
        """The number here, in struct's letters: "I" is a whole one of 32 bits, "Q" one of 64."""
        width = struct.calcsize(f"={form}")
        self.skip(width)
        return struct.unpack_from(self.order + form, self.data, self.at - width)[0]

    def skip(self, length: int) -> None:
        """On by `length` bytes."""
        if length > len(self.data) - self.at:
            raise ValueError("it ends in the middle of its header")
        self.at += length

    def value(self, kind: int) -> Any:
        """The value of this type, or None for a list, which is passed over."""
        if kind == STRING:
            return self.text()
        if kind in FORMS:
            return self.number(FORMS[kind])
        if kind != ARRAY:
            raise ValueError(f"it holds a value of the unknown type {kind}")
        of, length = self.number("I"), self.number("Q")
        if of in FORMS:
            self.skip(struct.calcsize(f"={FORMS[of]}") * length)
            return None
        if of != STRING:  # lists of lists are read by nobody
            raise ValueError(f"it holds a list of the unknown type {of}")
        if 8 * length > len(self.data) - self.at:
            raise ValueError("it ends in the middle of its header")
        for _ in range(length):
            self.skip(self.number("Q"))
        return None
