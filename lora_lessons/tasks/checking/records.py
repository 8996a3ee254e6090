"""A file line by line: what each line, or each row of a table, holds, or why it cannot be read."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ...files import check_readable
from ..jsonl import Fault, is_blank, lines, parsed, shown
from .documents import elements, pieces
from .tables import rows

# How files begin that are no text, and what to do with them.
NO_TEXT = {
    b"PK\x03\x04": "a workbook or a zip file: save the table as CSV in UTF-8, or unpack it",
    b"PAR1": "Parquet: write it as JSON lines, with datasets.Dataset.from_parquet(file).to_json(file)",
    b"\x1f\x8b": "compressed: unpack it with gunzip",
    b"\x28\xb5\x2f\xfd": "compressed: unpack it with zstd -d",
    b"ARROW1": "Arrow: write it as JSON lines, with datasets.Dataset.from_file(file).to_json(file)",
}
EXPECTED = 'a JSON object such as {"messages": [...]}'
Progress = Callable[[int], object]


class FileLine(NamedTuple):
    """What stands in a line: an object, or the fault that keeps it from being one."""

    line: int
    value: Any
    fault: Fault | None = None


def records(path: Path | str, progress: Progress | None = None) -> Iterator[FileLine]:
    """Every record of a training file, with the number of its first line; blank lines are left out.

    A file that ends in .csv or .tsv is a table, one in .jsonl or .json is not, and any other begins with { or [ or not.
    One that begins with a list of objects is that list; only in a .jsonl a list in one line is a bad line. `progress` is
    told the bytes of each line. Raises ValueError when the file is of a kind that has no records.
    """
    path = Path(path)
    check_readable(path)
    with path.open("rb") as file:
        _check_kind(path, file)
        begins, suffix = _beginning(file), path.suffix.lower()
        numbered: Iterator[tuple[int, bytes]] = enumerate(_counted(lines(file), progress), 1)
        if suffix in (".csv", ".tsv") or (suffix not in (".jsonl", ".json") and begins[:1] not in (b"{", b"[")):
            yield from (_from_row(number, value) for number, value in rows(numbered))
        else:
            if _is_list(begins, suffix):
                numbered = elements(_counted(pieces(file), progress))
            yield from (_from_json(number, line) for number, line in numbered if not is_blank(line))


def _beginning(file: BinaryIO) -> bytes:
    """The first line that holds something; the file is at its beginning before and after."""
    first = next((line for line in lines(file) if not is_blank(line)), b"")
    file.seek(0)
    return first.removeprefix(codecs.BOM_UTF8).strip()


def _is_list(begins: bytes, suffix: str) -> bool:
    """Whether a file that begins with this line is one list of objects. A line that is a list by itself is a bad line."""
    if not re.match(rb"\[\s*(\{|$)", begins):
        return False
    try:
        return suffix != ".jsonl" or not isinstance(parsed(begins), list)
    except Fault:
        return True


def has_mark(path: Path | str) -> bool:
    """Whether a file begins with a byte-order mark of UTF-8."""
    with open(path, "rb") as file:
        return file.read(3) == codecs.BOM_UTF8


def _from_json(number: int, line: bytes) -> FileLine:
    try:
        value = parsed(line, EXPECTED)
        if not isinstance(value, dict):
            raise Fault("unknown_layout", f"expected {EXPECTED}, not {shown(value)}.")
    except Fault as fault:
        return FileLine(number, None, fault)
    return FileLine(number, value)


def _from_row(number: int, value: dict[str, Any] | Fault) -> FileLine:
    return FileLine(number, None, value) if isinstance(value, Fault) else FileLine(number, value)


def _check_kind(path: Path, file: BinaryIO) -> None:
    begins = file.read(8)
    file.seek(0)
    for magic, what in NO_TEXT.items():
        if begins.startswith(magic):
            raise ValueError(f"{path.name} is {what}.")


def _counted(found: Iterator[bytes], progress: Progress | None) -> Iterator[bytes]:
    for line in found:
        if progress:
            progress(len(line))
        yield line
