"""A file line by line: what each line, each element of a JSON list or each row of a table holds,
or why it cannot be read."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from lora_lessons.files import check_readable
from lora_lessons.tasks.jsonl import LONGEST_LINE, Fault, check_ends, is_blank, is_cut, lines, parsed, shown, text_of

from .layouts import known_columns
from .problems import ELEMENT, LINE

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
# The number of a line, and what stands in it: an object, or the fault that keeps it from being one.
Record = tuple[int, dict[str, Any] | Fault]


def records(path: Path | str, progress: Progress | None = None) -> Iterator[Record]:
    """Every record of a training file, with the number of its first line, or its own (see `unit`); no blank lines.

    A file that ends in .csv or .tsv is a table, one in .jsonl or .json is not, and any other begins with { or [ or not.
    One that begins with a list of objects is that list; only in a .jsonl a list in one line is a bad line. `progress`
    is told the bytes of each line. Raises ValueError when the file is of a kind that has no records,
    or a line goes on and on.
    """
    path = Path(path)
    counts = unit(path)
    with path.open("rb") as file:
        _check_kind(path, file)
        begins, suffix = _beginning(file), path.suffix.lower()
        numbered: Iterator[tuple[int, bytes]] = enumerate(_counted(lines(file), progress), 1)
        if _is_table(begins, suffix):
            yield from rows(numbered)
            return
        if _is_list(begins, suffix):
            numbered = elements(_counted(pieces(file), progress), path.name)
            if counts == ELEMENT:
                numbered = ((number, element) for number, (_, element) in enumerate(numbered, 1))
        elif _is_spread(begins, file):
            raise ValueError(
                f"{path.name} writes a JSON object over several lines, and a line must hold a whole one: put [ before "
                "it and ] behind it, with commas between several, or write each in one line, as `jq -c . FILE` does."
            )
        yield from ((number, _from_json(line)) for number, line in numbered if not is_blank(line))


def unit(path: Path | str) -> str:
    """What the numbers of a file's records count: its lines, or of a list that stands in one line its elements."""
    check_readable(path)
    with open(path, "rb") as file:
        begins, suffix = _beginning(file), Path(path).suffix.lower()
    if _is_table(begins, suffix) or not _is_list(begins, suffix):
        return LINE
    several = len(list(islice(elements([begins]), 2))) > 1
    return ELEMENT if several or len(begins) > LONGEST_LINE else LINE


def delimiter(path: Path | str) -> str:
    """What stands between the cells of a .csv; "" of any other file, and where its first line cannot be read."""
    if Path(path).suffix.lower() != ".csv":
        return ""
    with open(path, "rb") as file:
        begins = _beginning(file)
    try:
        return _header(text_of(begins))[0] if begins else ""
    except Fault:
        return ""


def _is_table(begins: bytes, suffix: str) -> bool:
    return suffix in (".csv", ".tsv") or (suffix not in (".jsonl", ".json") and begins[:1] not in (b"{", b"["))


def _is_spread(begins: bytes, file: BinaryIO) -> bool:
    """Whether the object that a file begins with goes on in its next lines,
    up to its end or as far as a line may go."""
    if not begins.startswith(b"{") or _ends(begins) is not False:
        return False
    read = file.read(LONGEST_LINE)
    file.seek(0)
    ends = _ends(read)
    return ends or (ends is False and len(read) == LONGEST_LINE)


def _ends(text: bytes) -> bool | None:
    """Whether the object that `text` begins with ends there, or is cut; None where it is broken, whatever follows."""
    beginning = text.decode("utf-8-sig", "ignore").strip()
    try:
        json.JSONDecoder().raw_decode(beginning)
    except json.JSONDecodeError as error:
        return False if is_cut(beginning, error) else None
    except (RecursionError, ValueError):  # too deep, or a number too long for Python
        return None
    return True


def _beginning(file: BinaryIO) -> bytes:
    """The first line that holds something; the file is at its beginning before and after."""
    first = next((line for line in lines(file) if not is_blank(line)), b"")
    file.seek(0)
    return first.removeprefix(codecs.BOM_UTF8).strip()


def _is_list(begins: bytes, suffix: str) -> bool:
    """Whether a file that begins with this line is one list of objects.
    A line that is a list by itself is a bad line."""
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


def _from_json(line: bytes) -> dict[str, Any] | Fault:
    try:
        value = parsed(line, EXPECTED)
    except Fault as fault:
        return fault
    return value if isinstance(value, dict) else Fault("unknown_layout", f"expected {EXPECTED}, not {shown(value)}.")


def _check_kind(path: Path, file: BinaryIO) -> None:
    begins = file.read(8)
    file.seek(0)
    for magic, what in NO_TEXT.items():
        if begins.startswith(magic):
            raise ValueError(f"{path.name} is {what}.")


def _counted(raw_lines: Iterator[bytes], progress: Progress | None) -> Iterator[bytes]:
    for line in raw_lines:
        if progress:
            progress(len(line))
        yield line


# What a list's structure is made of; in a string only its end, and what is escaped, matters.
PIECE = 65_536
_OUTSIDE, _INSIDE = re.compile(rb'["\[\]{},]'), re.compile(rb'\\.|"', re.S)


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """`file` in pieces of at most PIECE bytes or so, that end where a line does, or inside it,
    but not behind a backslash."""
    while piece := file.readline(PIECE):
        while piece.endswith(b"\\") and (more := file.read(1)):
            piece += more
        yield piece


def elements(found: Iterable[bytes], name: str = "") -> Iterator[tuple[int, bytes]]:
    """Each element of the list that begins in these pieces: the number of its first line, and its bytes.

    An element may not be longer than LONGEST_LINE: of a longer one, one byte more is handed on, as of a long line.
    Raises ValueError that names the file `name` where an element is ENDLESS, or what follows the last one.
    """
    element, first, number, depth, inside, passed = bytearray(), 0, 1, 0, False, 0
    for piece in found:
        check_ends(name, passed := passed + len(piece))
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
                element, first, start, passed = bytearray(), 0, at, 0
        if depth and (element or piece[start:].strip()):
            first = first or number
            _grow(element, piece[start:])
        number += piece.endswith(b"\n")
    if element.strip():
        yield first, bytes(element).strip()


def _grow(element: bytearray, more: bytes) -> None:
    element += more[: max(LONGEST_LINE + 1 - len(element), 0)]


# What stands between cells: as in the name, as where the comma is in numbers, and as copied from a spreadsheet.
DELIMITERS = (",", ";", "\t")
MEND = "put a cell that holds commas, line ends or quotation marks in quotation marks, and double those inside it."
Numbered = tuple[int, bytes]


def rows(numbered: Iterator[Numbered]) -> Iterator[Record]:
    """Each row as {column: cell}, or its fault, with the number of its first line. The first row names the columns.

    What a good row holds is what csv.reader(strict=True) makes of it. After a broken row, reading goes on at the next
    line from which a whole row can be read: the header's number of cells, and quotation marks in pairs.
    """
    lines = _Lines((number, line) for number, line in numbered if line.strip(b"\r\n"))
    if not (first := lines.take()):
        return
    try:
        delimiter, header = _header(text_of(first[1]))
    except Fault as fault:
        yield first[0], fault
        while one := lines.take():
            yield one[0], Fault(fault.code, f"line {first[0]} must name the columns, and it cannot be read: {fault}")
        return
    if not known_columns(header):
        yield (
            first[0],
            Fault(
                "unknown_layout",
                f"the first line must name the columns, such as prompt,completion, not {shown(header)}.",
            ),
        )
    while at := lines.peek():
        try:
            cells, _ = lines.row(delimiter)
        except Fault as fault:
            yield at[0], fault
            lines.skip_to_row(delimiter, len(header))
            continue
        if len(cells) < len(header) or any(cells[len(header) :]):
            yield (
                at[0],
                Fault("broken_csv", f"the row has {len(cells)} cells where the header has {len(header)}: {MEND}"),
            )
        else:
            yield at[0], dict(zip(header, cells, strict=False))


def _header(text: str) -> tuple[str, list[str]]:
    """The delimiter and the columns' names: of the ways to read the first line, one whose columns are known."""
    try:
        ways = {delimiter: next(csv.reader([text], delimiter=delimiter), []) for delimiter in DELIMITERS}
    except csv.Error as error:
        raise Fault("broken_csv", f"no names of columns can be read ({error}): {MEND}") from None
    known = [(delimiter, names) for delimiter, names in ways.items() if known_columns(names)]
    delimiter, names = known[0] if known else max(ways.items(), key=lambda way: len(way[1]))
    return delimiter, [name.strip().lower() for name in names] if known else names


class _Lines:
    """Lines that are read ahead for a row, and put back when no row comes of them."""

    def __init__(self, numbered: Iterator[Numbered]) -> None:
        self._coming = numbered
        self._ahead: deque[Numbered] = deque()
        # the number of the line at which the last broken row ended
        self._broke_at = 0

    def peek(self) -> Numbered | None:
        """The next line, which stays."""
        if not self._ahead and (one := next(self._coming, None)):
            self._ahead.append(one)
        return self._ahead[0] if self._ahead else None

    def take(self) -> Numbered | None:
        """The next line."""
        return self._ahead.popleft() if self.peek() else None

    def put_back(self, used: list[Numbered]) -> None:
        """Lines that were taken are the next ones again."""
        self._ahead.extendleft(reversed(used))

    def row(self, delimiter: str) -> tuple[list[str], list[Numbered]]:
        """The cells of the row that begins here, and the lines that it took. Raises Fault, and takes none.

        A broken row stood inside a cell at each of its line ends. One that begins later, and is inside a cell at one of
        these ends, goes the same way from there on: it is broken, too, and no more than its first line is read.
        """
        used: list[Numbered] = []

        def text() -> Iterator[str]:
            while one := self.take():
                used.append(one)
                yield text_of(one[1])
                if used[0][0] < self._broke_at:
                    return

        try:
            return next(csv.reader(text(), delimiter=delimiter, strict=True)), used
        except (csv.Error, Fault) as error:
            self._broke_at = max(self._broke_at, used[-1][0])
            self.put_back(used)
            if isinstance(error, Fault):
                raise
            raise Fault("broken_csv", f"no row can be read from here on ({error}): {MEND}") from None

    def skip_to_row(self, delimiter: str, cells: int) -> None:
        """Take a broken row's first line, and those after it that are no whole row by themselves."""
        while self.take() and self.peek():
            try:
                values, used = self.row(delimiter)
            except Fault as fault:
                if fault.code != "broken_csv":
                    return
                continue
            self.put_back(used)
            if len(values) == cells and sum(line.count(b'"') for _, line in used) % 2 == 0:
                return
