"""Rows of a table in CSV, by Python's csv module; a row that is broken costs itself alone."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import Any

from ..jsonl import Fault, shown, text_of
from .layouts import known_columns

# What stands between cells: as in the name, as where the comma is in numbers, and as copied from a spreadsheet.
DELIMITERS = (",", ";", "\t")
MEND = "put a cell that holds commas, line ends or quotation marks in quotation marks, and double those inside it."
Numbered = tuple[int, bytes]


def rows(numbered: Iterator[Numbered]) -> Iterator[tuple[int, dict[str, Any] | Fault]]:
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
        said = f"the first line must name the columns, such as prompt,completion, not {shown(header)}."
        yield first[0], Fault("unknown_layout", said)
    while at := lines.peek():
        try:
            cells, _ = lines.row(delimiter)
        except Fault as fault:
            yield at[0], fault
            lines.skip_to_row(delimiter, len(header))
            continue
        if len(cells) < len(header) or any(cells[len(header) :]):
            said = f"the row has {len(cells)} cells where the header has {len(header)}: {MEND}"
            yield at[0], Fault("broken_csv", said)
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
                found, used = self.row(delimiter)
            except Fault as fault:
                if fault.code != "broken_csv":
                    return
                continue
            self.put_back(used)
            if len(found) == cells and sum(line.count(b'"') for _, line in used) % 2 == 0:
                return
