"""Personal data in a file: which lines seem to hold which kind. What was found is never kept, so nothing can print it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import personal
from .problems import FIRST_LINES, LOOK, Found, in_lines

MEND = "Take it out, or put something invented there: name@example.com, for example, is never taken for a real address."


class PersonalData:
    """The first few lines of each kind, and how many there are."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[list[int], int]] = {}

    def add(self, found: Found, line: int, messages: Sequence[dict[str, Any]]) -> bool:
        """Note what a conversation seems to hold; whether it holds any."""
        kinds = personal.kinds("\n".join(message["content"] for message in messages))
        for kind in kinds:
            lines, count = self._kinds.get(kind, ([], 0))
            self._kinds[kind] = [*lines, line][:FIRST_LINES], count + 1
        if kinds:
            found.add("personal_data", LOOK, line, "")
        return bool(kinds)

    def tell(self, found: Found) -> None:
        """Say it in one sentence, once all lines are known."""
        if said := [f"{kind} in {in_lines(*where)}" for kind, where in self._kinds.items()]:
            found.reword("personal_data", LOOK, f"there seems to be {'; and '.join(said)}. {MEND}")
