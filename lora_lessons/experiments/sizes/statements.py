"""Sentences of the course that may hold at one size and not at another, and at which sizes each was seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ...course.claims import AtSizes
from ...course.prose import listed
from .. import recordings
from .cells import ALPHA, NAME, SIZES, STEPS, AskedBase
from .table import ALONE, OPEN, Spread, TableLine, said, table

SEEN, NOT_SEEN, NOT_TOLD, NOT_ASKED = "seen", "not seen", "too close to tell", "not asked"


class Needs(NamedTuple):
    """What a quantity must be for a statement to hold."""

    quantity: str
    than: str  # "<" or ">"
    limit: float

    def of(self, value: Spread | str) -> str:
        """Whether a size's value is so.

        An interval that reaches the limit tells nothing, and neither does the sign of one run,
        or one run within ALONE of it.
        """
        if isinstance(value, str):
            return OPEN if value == OPEN else NOT_ASKED
        low, high = (value.mean if end is None else end for end in (value.low, value.high))
        if value.low is None and value.seeds and (self.limit == 0 or abs(value.mean - self.limit) < ALONE):
            return NOT_TOLD
        if self.than == "<":
            return SEEN if high < self.limit else NOT_SEEN if low >= self.limit else NOT_TOLD
        return SEEN if low > self.limit else NOT_SEEN if high <= self.limit else NOT_TOLD


class Statement(NamedTuple):
    """A sentence about one claim's quantities; it holds where all that it needs is so."""

    claim: str
    says: str
    needs: Sequence[Needs]


STATEMENTS: dict[str, Statement] = {
    "W bears no cut": Statement(
        "cut_w",
        "cut to as many numbers as it has, every W makes the perplexity at least twice as high",
        [Needs("every W cut to as many numbers", ">", 2)],
    ),
    "ΔW bears a cut": Statement(
        "delta",
        "8 directions hold less than two thirds of ΔW's energy, and keep more than 80% of what was learned",
        [
            Needs("energy that 8 directions hold", "<", 67),
            Needs("left of what was learned, ΔW cut to rank 8", ">", 80),
        ],
    ),
    "rank matters little": Statement(
        "rank",
        f"at α = {ALPHA} rank 64 ends within 0.05 nats of rank 8",
        [Needs(f"rank 64 above rank 8, α = {ALPHA}", than, limit) for than, limit in (("<", 0.05), (">", -0.05))],
    ),
    "rank 1 nearly suffices": Statement(
        "rank",
        f"at α = {ALPHA} rank 1 ends less than 0.05 nats above rank 8",
        [Needs(f"rank 1 above rank 8, α = {ALPHA}", "<", 0.05)],
    ),
    "NF4 costs little": Statement(
        "base4", "trained, NF4 ends less than 0.1 nats above 16 bits", [Needs("NF4 above 16 bits, trained", "<", 0.1)]
    ),
    "NF4 costs something": Statement(
        "base4", "trained, NF4 ends above 16 bits", [Needs("NF4 above 16 bits, trained", ">", 0)]
    ),
    "NF4 before FP4": Statement("base4", "trained, NF4 ends below FP4", [Needs("FP4 above NF4, trained", ">", 0)]),
    "NF4 before int4": Statement("base4", "trained, NF4 ends below int4", [Needs("int4 above NF4, trained", ">", 0)]),
    "merging into 4 bits loses": Statement(
        "merge",
        "merged into NF4, less than half of the gain is kept, and merged in 16 bits more than 95%",
        [
            Needs("gain kept, merged into NF4", "<", 50),
            Needs("gain kept, merged in 16 bits", ">", 95),
        ],
    ),
    "NF4 before int4, untrained": Statement(
        "formats",
        "NF4 adds at least 0.01 nats less than int4",
        [Needs("int4 above NF4 + double", ">", 0.01)],
    ),
    "NF4 before int4 on the persona": Statement(
        "base4", "untrained, on lesson 07's text, NF4 ends below int4", [Needs("int4 above NF4, untrained", ">", 0)]
    ),
    "8 bits cost nothing": Statement(
        "formats", "Q8_0 adds less than 0.01 nats", [Needs("Q8_0 above the intact base", "<", 0.01)]
    ),
    "plain English stays": Statement(
        "forget",
        "the perplexity of plain English rises by less than a tenth",
        [Needs("perplexity of plain English after LoRA", "<", 1.1)],
    ),
    "the form leaks": Statement(
        "forget",
        "after a training on one form, most everyday answers have it, too",
        [Needs("everyday answers in the task's form", ">", 50)],
    ),
    "the plan is right": Statement(
        "memory",
        "predicted and taped memory differ by less than 5%",
        [
            Needs(f"{way}, predicted beside the tape", than, limit)
            for way in ("LoRA", "QLoRA")
            for than, limit in (("<", 5), (">", -5))
        ],
    ),
}


def seen(
    record: Mapping[str, Any], sizes: Mapping[str, AskedBase] = SIZES, steps: int = STEPS
) -> dict[str, dict[str, str]]:
    """For each statement, by the size's title: SEEN, NOT_SEEN, NOT_TOLD, NOT_ASKED, or OPEN, and nothing else.

    The weakest of what it needs decides: one that is not so, then one that was not asked or measured,
    then one not told.
    """
    return _seen(table(record, sizes, steps), sizes)


def _seen(lines: Sequence[TableLine], sizes: Mapping[str, AskedBase]) -> dict[str, dict[str, str]]:
    found = {(line.claim, line.quantity.name): line.at for line in lines}
    order = (NOT_SEEN, NOT_ASKED, OPEN, NOT_TOLD, SEEN)
    return {
        name: {
            size.title: min(
                (one.of(found[statement.claim, one.quantity][size.title]) for one in statement.needs), key=order.index
            )
            for size in sizes.values()
        }
        for name, statement in STATEMENTS.items()
    }


def at_sizes(*names: str) -> Callable[[], AtSizes]:
    """For a verdict: at which sizes its statements were seen, with what was measured, worked out when it is asked for.

    Raises KeyError for a statement that there is not.
    """
    statements = {name: STATEMENTS[name] for name in names}

    def asked() -> AtSizes:
        record = recordings.recorded(NAME)
        lines = table(record)
        at = _seen(lines, SIZES)
        told = {name: one for name, one in statements.items() if measured(at[name])}
        wanted = {(one.claim, need.quantity) for one in told.values() for need in one.needs}
        words = [f"{capital(one.says)}: {in_words(at[name])}." for name, one in told.items()]
        words += filter(None, (_numbers(line) for line in lines if (line.claim, line.quantity.name) in wanted))
        words += [recordings.when(record)] * bool(words)
        return AtSizes(" ".join(words), any(NOT_SEEN in at[name].values() for name in names))

    return asked


def measured(at: Mapping[str, str]) -> bool:
    """Whether a statement was measured at any size."""
    return not set(at.values()) <= {OPEN, NOT_ASKED}


def capital(words: str) -> str:
    """As a sentence begins."""
    return f"{words[0].upper()}{words[1:]}"


def _numbers(line: TableLine) -> str:
    """A quantity at the sizes where it was measured, as a sentence; "" where it was at none."""
    values = ", ".join(f"{title} {said(value, line.quantity.form)}" for title, value in line.measured.items())
    return f"{capital(line.quantity.title)}: {values}." if values else ""


def in_words(at: Mapping[str, str]) -> str:
    """At which sizes a statement was seen, and at which not, as the end of a sentence."""
    groups = {word: [title for title, one in at.items() if one == word] for word in dict.fromkeys(at.values())}
    return "; ".join(f"{word} at {listed(titles)}" for word, titles in groups.items())
