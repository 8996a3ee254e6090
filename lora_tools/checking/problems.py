"""What is wrong with a file: one problem for each code, however many lines have it.
Personal data is named and never kept."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lora_lessons.tasks import personal
from lora_lessons.tasks.jsonl import said
from lora_lessons.tasks.personal import masked

# the line is not used ── probably a mistake ── good to know
WRONG, LOOK, NOTE = "wrong", "look", "note"
MISSPELT = "misspelt_field"
SEVERITIES = (WRONG, LOOK, NOTE)
FIRST_LINES = 5
# what the numbers of a file's records count
LINE, ELEMENT = "line", "element"


@dataclass(frozen=True)
class Problem:
    """One kind of problem: `line` is the first that has it, None where it is the whole file; `lines` are all of them.

    The sentence is that of the first line, unless it `names_lines` itself.
    """

    code: str
    severity: str
    line: int | None
    count: int
    sentence: str
    lines: tuple[int, ...] = ()
    names_lines: bool = False


def in_lines(lines: Sequence[int], count: int, unit: str = LINE, most: int = FIRST_LINES) -> str:
    """ "line 3", or "lines 3, 7, 9, 12, 40, …" with `most` of them, 0: all; or elements, where `unit` says so."""
    if count == 1:
        return f"{unit} {lines[0]}"
    shown = lines[: most or None]
    return f"{unit}s {', '.join(map(str, shown))}{', …' if count > len(shown) else ''}"


class Found:
    """Problems as they are found: the line numbers of each kind, and one sentence, so that memory stays small."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], Problem] = {}
        self._lines: defaultdict[tuple[str, str], array[int]] = defaultdict(lambda: array("Q"))

    def add(self, code: str, severity: str, line: int | None, sentence: str) -> None:
        """Note a problem in a line, or in the whole file.
        The sentence of a kind's first line stands for all of them."""
        kind = severity, code
        known = self._kinds.get(kind) or Problem(code, severity, line, 0, masked(sentence))
        self._kinds[kind] = replace(known, count=known.count + 1)
        if line is not None:
            self._lines[kind].append(line)

    def take(self, line: int | None, findings: Iterable[tuple[str, str, str]]) -> None:
        """Note each (code, severity, sentence) of a line, or of the whole file."""
        for code, severity, sentence in findings:
            self.add(code, severity, line, sentence)

    def reword(self, code: str, severity: str, sentence: str) -> None:
        """Say a kind of problem in a sentence that names the lines, once all of them are known."""
        kind = severity, code
        self._kinds[kind] = replace(self._kinds[kind], sentence=masked(sentence), names_lines=True)

    def misspelt(self, code: str, sentence: str) -> None:
        """Call a kind of problem a misspelt field, since other lines have the right one."""
        if known := self._kinds.pop((WRONG, code), None):
            fields = known.sentence.partition(": ")[0]
            self._kinds[WRONG, MISSPELT] = replace(known, code=MISSPELT, sentence=f"{fields}: {sentence}")

    def sorted(self) -> tuple[Problem, ...]:
        """The worst first, and of these what most lines have."""
        found = (replace(one, lines=tuple(self._lines.get(kind, ()))) for kind, one in self._kinds.items())
        return tuple(sorted(found, key=lambda one: (SEVERITIES.index(one.severity), -one.count)))


MEND = "Take it out, or put something invented there: name@example.com, for example, is never taken for a real address."


class PersonalData:
    """The first few lines of each kind, and how many there are."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[list[int], int]] = {}

    def add(self, found: Found, line: int, messages: Sequence[dict[str, Any]]) -> bool:
        """Note what a conversation seems to hold; whether it holds any."""
        kinds = personal.kinds("\n".join(said(message) for message in messages))
        for kind in kinds:
            lines, count = self._kinds.get(kind, ([], 0))
            self._kinds[kind] = [*lines, line][:FIRST_LINES], count + 1
        if kinds:
            found.add("personal_data", LOOK, line, "")
        return bool(kinds)

    def tell(self, found: Found, unit: str) -> None:
        """Say it in one sentence, once all lines are known."""
        if listed := [f"{kind} in {in_lines(*where, unit)}" for kind, where in self._kinds.items()]:
            found.reword("personal_data", LOOK, f"there seems to be {'; and '.join(listed)}. {MEND}")
