"""Lines that say the same: equal, nearly equal, a question that is answered in two ways, one that is held out.

How alike two texts are, is known from 32 bytes of each: Broder's MinHash (1997). Lines that share a long instruction
are alike for the most part, so their ends must be alike as well: what is asked, and how the answer begins.

A frame is what nearly all answers of a file begin and end with, letter by letter.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Sized
from hashlib import blake2b
from os.path import commonprefix
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lora_lessons.tasks.jsonl import calls_in, said

Messages = list[dict[str, Any]]
# what to do about each kind; the other line, such as "line 3", goes into the sentence
ALIKE = {
    "duplicate": "it is the same as {}: take one of them out, unless it should count twice.",
    "near_duplicate": "it is nearly the same as {}: take one of them out, unless the difference matters.",
    "contradiction": "it asks the same as {} and answers otherwise: take one of them out, unless both are right.",
    "turned_round": "it prefers the answer that {} rejects, to the same question: take one of them out.",
    "leak": "its question is that of {} of the held-out file: take it out of one of them, or the held-out loss "
    "flatters.",
    "near_leak": "its question is nearly that of {} of the held-out file: take it out of one of them, unless the "
    "difference matters.",
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
    return "\n".join(plain(said(m)) for m in messages[:-1] if system or m["role"] != "system")


class Likeness:
    """What is kept of every line, and the pairs found in it."""

    def __init__(self) -> None:
        self._lines, self._wholes, self._questions, self._answers, self._said, self._calls = (
            array("Q") for _ in range(6)
        )
        self._signatures = bytearray()
        # whether a line is a pair
        self._paired = array("B")

    def add(self, line: int, messages: Messages, judged: bool = False) -> None:
        """Keep what a conversation is known by; of `judged` ones, as KTO has them,
        a question may have several answers."""
        question, answer = before_the_answer(messages), plain(said(messages[-1]))
        text = f"{question}\n{answer}"
        self._keep(line, [messages], text if judged else question, answer, text, question[-END:] + answer[:END])

    def add_pair(self, line: int, prompt: Messages, chosen: Messages, rejected: Messages) -> None:
        """Keep what a pair is known by: its prompt with both answers, in either order, and which of them is chosen."""
        asked, better, worse = (before_the_answer([*part, {}]) for part in (prompt, chosen, rejected))
        # turned round, it must read otherwise
        end = asked[-END:] + better[:END] + worse[:END][::-1]
        self._keep(
            line,
            [prompt, chosen, rejected],
            "\0".join([asked, *sorted([better, worse])]),
            better,
            f"{asked}\n{better}\n{worse[::-1]}",
            end,
        )
        self._paired[-1] = True

    def _keep(self, line: int, parts: list[Messages], question: str, answer: str, text: str, end: str) -> None:
        self._lines.append(line)
        self._wholes.append(number_of(repr([[(m["role"], said(m)) for m in part] for part in parts])))
        self._questions.append(number_of(question))
        self._answers.append(number_of(answer))
        answers = [plain(said(message)) for message in parts[0] if message["role"] == "assistant"]
        self._said.append(number_of("\n".join(answers)))
        self._calls.append(number_of(repr([calls_in(message) for part in parts for message in part])))
        self._signatures += signature(text) + signature(end)
        self._paired.append(False)

    def commonest(self) -> tuple[float, list[int]]:
        """The share of different questions that have the commonest answer, or answers where a conversation has
        several; and their lines. 0 where there are few questions, or pairs."""
        asked = dict(zip(self._questions, zip(self._said, self._lines, strict=True), strict=True))
        if len(asked) < SEVERAL or any(self._paired):
            return 0.0, []
        answer = Counter(said for said, _ in asked.values()).most_common(1)[0][0]
        lines = sorted(line for said, line in asked.values() if said == answer)
        return len(lines) / len(asked), lines

    def found(self) -> Iterator[Alike]:
        """Every line that is like an earlier one, once for each way in which it is."""
        wholes, questions, answers = (np.array(c) for c in (self._wholes, self._questions, self._answers))
        _, first, which = np.unique(wholes, return_index=True, return_inverse=True)
        for row in np.flatnonzero(first[which] != np.arange(len(which))):
            yield Alike("duplicate", self._lines[row], self._lines[first[which[row]]])
        kept = np.sort(first)
        signatures = table(self._signatures, 2 * ORDERS)
        _, first, which = np.unique(questions[kept], return_index=True, return_inverse=True)
        turned = set()
        for row, other in zip(kept, kept[first[which]], strict=True):
            if answers[row] != answers[other] and self._paired[row]:
                turned.add(row)
                yield Alike("turned_round", self._lines[row], self._lines[other])
            elif answers[row] != answers[other] and not near(signatures[row], signatures[other]):
                yield Alike("contradiction", self._lines[row], self._lines[other])
        for one, earlier in sorted(near_pairs(signatures[kept]).items()):
            # calls are alike but for their arguments, and these are what matters
            same_calls = self._calls[kept[one]] == self._calls[kept[earlier]]
            if kept[one] not in turned and same_calls:
                yield Alike("near_duplicate", self._lines[kept[one]], self._lines[kept[earlier]])


class AskedQuestions:
    """What is kept of the questions of a file: 80 bytes of each."""

    def __init__(self) -> None:
        self.lines, self.numbers = array("Q"), array("Q")
        self.signatures = bytearray()

    def add(self, line: int, messages: Messages) -> None:
        """Keep what a question is known by."""
        question = before_the_answer(messages, system=False)
        self.lines.append(line)
        self.numbers.append(number_of(question))
        self.signatures += signature(question) + signature(question[-END:])


def leaks(learned: AskedQuestions, held_out: AskedQuestions) -> Iterator[Alike]:
    """Every line whose question, or nearly the same, is held out.

    Where several learned lines are nearly one that is held out, what they share is a template's own words.
    """
    known = dict(zip(reversed(held_out.numbers), reversed(held_out.lines), strict=True))
    near = nearest(*(table(one.signatures, 2 * ORDERS) for one in (learned, held_out)))
    shared = Counter(near.values())
    for row, (line, number) in enumerate(zip(learned.lines, learned.numbers, strict=True)):
        if number in known:
            yield Alike("leak", line, known[number])
        elif row in near and shared[near[row]] < TEMPLATE:
            yield Alike("near_leak", line, held_out.lines[near[row]])


# So many learned questions that are nearly one of the held-out file are filled in by a template.
TEMPLATE = 3
# Of fewer questions nothing is said where all have one answer.
SEVERAL = 5
RUN, ORDERS, BANDS = 5, 32, 8
# Two texts are nearly the same when so many of their runs are; of their ends fewer, since a word more is much of these.
NEAR, NEAR_ENDS = 0.85, 0.7
# A longer text is known by its beginning.
READ = 20_000
# So many characters are the end of a question, and the beginning of an answer.
END = 120
# A row is compared with so many others of the same band.
NEIGHBOURS = 8
_FACTORS, _SHIFTS = np.random.default_rng(0).integers(0, 2**63, (2, ORDERS, 1), np.uint64) * np.uint64(2) + np.uint64(1)
_PRIME = np.uint64(0x100000001B3)
Signatures = NDArray[np.uint8]


def number_of(text: str) -> int:
    """Eight bytes that stand for a text."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def signature(text: str) -> bytes:
    """One byte for each of ORDERS orders: of the run of `text` that comes first in it."""
    codes = np.frombuffer(text[:READ].ljust(RUN).encode("utf-32-le"), np.uint32).astype(np.uint64)
    runs = np.zeros(len(codes) - RUN + 1, np.uint64)
    for at in range(RUN):
        runs = (runs ^ codes[at : at + len(runs)]) * _PRIME
    runs ^= runs >> np.uint64(29)
    first = np.full(ORDERS, 2**64 - 1, np.uint64)
    for at in range(0, len(runs), 4096):
        first = np.minimum(first, (runs[at : at + 4096] * _FACTORS + _SHIFTS).min(axis=1))
    return (first >> np.uint64(40)).astype(np.uint8).tobytes()


def table(signatures: bytes | bytearray, width: int = ORDERS) -> Signatures:
    """Signatures, one after the other, as rows; where a row has several, that of the whole text is its first."""
    return np.frombuffer(bytes(signatures), np.uint8).reshape(-1, width)


def near(one: Signatures, other: Signatures) -> NDArray[np.bool_]:
    """Whether texts are nearly the same, by all of their signatures, row by row."""
    same = (one == other).reshape(*one.shape[:-1], one.shape[-1] // ORDERS, ORDERS)
    alike: NDArray[np.bool_] = (same.mean(axis=-1) >= (NEAR, NEAR_ENDS)[: same.shape[-2]]).all(axis=-1)
    return alike


def near_pairs(rows: Signatures) -> dict[int, int]:
    """For each row that is nearly the same as an earlier one: that row.
    Only rows with a band in common are compared."""
    first_alike: dict[int, int] = {}
    for band in _bands(rows):
        order = np.argsort(band, kind="stable")
        for lag in range(1, min(NEIGHBOURS, len(order) - 1) + 1):
            _note(first_alike, rows, rows, band, band, order[lag:], order[:-lag])
    return first_alike


def nearest(rows: Signatures, others: Signatures) -> dict[int, int]:
    """For each of `rows` that is nearly the same as one of `others`: the first of those."""
    first_alike: dict[int, int] = {}
    for band, their_band in zip(_bands(rows), _bands(others), strict=True):
        order = np.argsort(their_band, kind="stable")
        begins = np.searchsorted(their_band[order], band)
        for lag in range(NEIGHBOURS if len(others) else 0):
            at = order[np.minimum(begins + lag, len(order) - 1)]
            _note(first_alike, rows, others, band, their_band, np.arange(len(rows)), at)
    return first_alike


def _bands(rows: Signatures) -> NDArray[np.uint32]:
    """Four bytes of each signature at a time: texts that are nearly the same have some of them in common."""
    return np.ascontiguousarray(np.ascontiguousarray(rows[:, :ORDERS]).view(np.uint32).reshape(-1, BANDS).T)


def _note(
    first_alike: dict[int, int],
    rows: Signatures,
    others: Signatures,
    band: NDArray[np.uint32],
    their_band: NDArray[np.uint32],
    mine: NDArray[np.intp],
    theirs: NDArray[np.intp],
) -> None:
    """Add the pairs of rows (`mine`, `theirs`) that have the band in common and are nearly the same."""
    same = band[mine] == their_band[theirs]
    mine, theirs = mine[same], theirs[same]
    alike = near(rows[mine], others[theirs])
    for one, other in zip(mine[alike].tolist(), theirs[alike].tolist(), strict=True):
        first_alike[one] = min(other, first_alike.get(one, other))


# of the answers: so many share a frame, so that one odd line does not hide it
NEARLY_ALL = 0.9


class Frame(NamedTuple):
    """What answers begin with, and what they end with; "" where they share nothing."""

    begin: str
    end: str

    def holds(self, answer: str) -> bool:
        """Whether an answer stands in this frame."""
        return answer.startswith(self.begin) and answer.removeprefix(self.begin).endswith(self.end)

    def size(self, parts: Callable[[str], Sized] = str) -> int:
        """How long it is, counted in the `parts` of a text: its letters, or its tokens."""
        return len(parts(self.begin)) + len(parts(self.end))


def frame_of(answers: Sequence[str]) -> Frame:
    """The frame of NEARLY_ALL answers or more, in whole words."""
    begin = re.sub(r"\w+\Z", "", _shared(answers))
    backwards = _shared([answer.removeprefix(begin)[::-1] for answer in answers])
    return Frame(begin, re.sub(r"\A\w+", "", backwards[::-1]))


def _shared(texts: Sequence[str]) -> str:
    """What nearly all `texts` begin with: sorted, those that begin alike stand together."""
    ordered, few = sorted(texts), int(len(texts) * (1 - NEARLY_ALL))
    begins = (commonprefix([ordered[n], ordered[n + len(ordered) - few - 1]]) for n in range(few + 1) if ordered)
    return max(begins, key=len, default="")
