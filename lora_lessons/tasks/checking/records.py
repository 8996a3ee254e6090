"""A file line by line: what each line, or each row of a table, holds, or why it cannot be read."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ..jsonl import LONGEST_LINE, Fault, is_blank, lines, parsed, shown
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
    """Every record of a JSON-lines file or a table, with the number of its first line; blank lines are left out.

    A file that ends in .csv or .tsv is a table, one in .jsonl or .json is not, and any other begins with { or not.
    `progress` is told the bytes of each line. Raises ValueError when the file is of a kind that has no lines.
    """
    path = Path(path)
    with path.open("rb") as file:
        _check_kind(path, file)
        numbered = enumerate(_counted(lines(file), progress), 1)
        start = next(((number, line) for number, line in numbered if not is_blank(line)), None)
        if not start:
            return
        begins = start[1].removeprefix(codecs.BOM_UTF8).strip()
        if begins in (b"[", b"{", b"[{"):
            raise ValueError(_one_document(path))
        every = chain([start], numbered)
        if _is_table(path.suffix.lower(), begins):
            yield from (_from_row(number, value) for number, value in rows(every))
        else:
            yield from (_from_json(number, line) for number, line in every if not is_blank(line))


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


def _is_table(suffix: str, begins: bytes) -> bool:
    return suffix in (".csv", ".tsv") or (suffix not in (".jsonl", ".json") and begins[:1] not in (b"{", b"["))


def _check_kind(path: Path, file: BinaryIO) -> None:
    begins = file.read(8)
    file.seek(0)
    for magic, what in NO_TEXT.items():
        if begins.startswith(magic):
            raise ValueError(f"{path.name} is {what}.")


def _one_document(path: Path) -> str:
    return (
        f"{path.name} is one JSON document over several lines: write one object a line, with "
        f"datasets.Dataset.from_json(file).to_json(file) or `jq -c '.[]' {path.name} > {path.stem}.jsonl`."
    )


def _counted(found: Iterator[bytes], progress: Progress | None) -> Iterator[bytes]:
    for line in found:
        if progress:
            progress(min(len(line), LONGEST_LINE))
        yield line
