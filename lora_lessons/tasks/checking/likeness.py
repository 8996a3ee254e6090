"""Lines that say the same: equal, nearly equal, a question that is answered in two ways, one that is held out.

Of each line only a few numbers are kept, 64 bytes in all, so that a file of any length can be looked at.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .minhash import near, near_pairs, nearest, number_of, signature, table

Messages = list[dict[str, Any]]
# what to do about each kind; the other line's number goes into the sentence
ALIKE = {
    "duplicate": "it is the same as line {}: take one of them out, unless it should count twice.",
    "near_duplicate": "it is nearly the same as line {}: take one of them out, unless the difference matters.",
    "contradiction": "it asks the same as line {} and answers otherwise: take one of them out, unless both are right.",
    "leak": "its question is that of line {} of the held-out file, or nearly: take it out of one of them, "
    "or the held-out loss flatters.",
}


class Alike(NamedTuple):
    """A line, and another that it is like: an earlier one, or for "leak" one of the held-out file."""

    code: str
    line: int
    other: int


def plain(text: str) -> str:
    """`text` without what seldom changes its meaning: capitals, runs of spaces, the mark at its end."""
    return re.sub(r"\s+", " ", text.casefold()).strip(" .!?…")


def before_the_answer(messages: Messages, system: bool = True) -> str:
    """All that was said before the last answer: plain, one turn a line; on request without the system's words."""
    return "\n".join(plain(m["content"]) for m in messages[:-1] if system or m["role"] != "system")


class Likeness:
    """What is kept of every line, and the pairs found in it."""

    def __init__(self) -> None:
        self._lines, self._wholes, self._questions, self._answers = (array("Q") for _ in range(4))
        self._signatures = bytearray()

    def add(self, line: int, messages: Messages) -> None:
        """Keep what a conversation is known by."""
        question, answer = before_the_answer(messages), plain(messages[-1]["content"])
        self._lines.append(line)
        self._wholes.append(number_of(repr([(m["role"], m["content"]) for m in messages])))
        self._questions.append(number_of(question))
        self._answers.append(number_of(answer))
        self._signatures += signature(f"{question}\n{answer}")

    def found(self) -> Iterator[Alike]:
        """Every line that is like an earlier one, once for each way in which it is."""
        wholes, questions, answers = (np.array(c) for c in (self._wholes, self._questions, self._answers))
        _, first, which = np.unique(wholes, return_index=True, return_inverse=True)
        for row in np.flatnonzero(first[which] != np.arange(len(which))):
            yield Alike("duplicate", self._lines[row], self._lines[first[which[row]]])
        kept = np.sort(first)
        signatures = table(self._signatures)
        _, first, which = np.unique(questions[kept], return_index=True, return_inverse=True)
        for row, other in zip(kept, kept[first[which]], strict=True):
            if answers[row] != answers[other] and not near(signatures[row], signatures[other]):
                yield Alike("contradiction", self._lines[row], self._lines[other])
        for one, earlier in sorted(near_pairs(signatures[kept]).items()):
            yield Alike("near_duplicate", self._lines[kept[one]], self._lines[kept[earlier]])


class AskedQuestions:
    """What is kept of the questions of a file: 48 bytes of each."""

    def __init__(self) -> None:
        self.lines, self.numbers = array("Q"), array("Q")
        self.signatures = bytearray()

    def add(self, line: int, messages: Messages) -> None:
        """Keep what a question is known by."""
        question = before_the_answer(messages, system=False)
        self.lines.append(line)
        self.numbers.append(number_of(question))
        self.signatures += signature(question)


def leaks(learned: AskedQuestions, held_out: AskedQuestions) -> Iterator[Alike]:
    """Every line whose question, or nearly the same, is held out."""
    known = dict(zip(reversed(held_out.numbers), reversed(held_out.lines), strict=True))
    near = nearest(table(learned.signatures), table(held_out.signatures))
    for row, (line, number) in enumerate(zip(learned.lines, learned.numbers, strict=True)):
        if number in known:
            yield Alike("leak", line, known[number])
        elif row in near:
            yield Alike("leak", line, held_out.lines[near[row]])
