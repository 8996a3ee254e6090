"""What the cells say together: a quantity a row, a size a column, with intervals over seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from ...evaluation import interval
from .. import recordings
from ..sweep.table import summary
from .cells import ALPHA, CLAIMS, NAME, RANKS, SIZES, STEPS, STORED, AskedBase, R, Row, done, lora_way, of

OPEN = "not measured yet"
ALONE = 0.05  # nats: a single run that is nearer to another, or to a limit, is not told apart from it

# {way: what was found} of one claim at one size with one seed
Found = Mapping[str, Mapping[str, float]]


class Spread(NamedTuple):
    """A quantity over its seeds, none where no seed draws anything: the mean, and the 95% interval where there is one.

    It is Student's t over two seeds or more; of a share of answers it is Wilson's, over the answers of all seeds.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    seeds: int = 1


class Quantity(NamedTuple):
    """What is read off the cells of a claim, a number a seed."""

    name: str
    unit: str
    of: Callable[[Found], float]  # raises KeyError while a way is missing
    form: str = ".2f"
    full: bool = False  # whether it needs full fine-tuning
    log: bool = False  # whether its axis is
    answers: int = 0  # in each run, where it is a share of so many answers, in percent
    before: bool = False  # whether it is the untrained base's, which no seed draws

    @property
    def title(self) -> str:
        """Its name with its unit."""
        return ", ".join(filter(None, (self.name, self.unit)))


def _more(way: str, than: str, what: str = "loss") -> Callable[[Found], float]:
    return lambda found: found[way][what] - found[than][what]


def _number(name: str, times: float = 1, way: str = "") -> Callable[[Found], float]:
    return lambda found: times * found[way][name]


def _times(name: str, whole: str) -> Callable[[Found], float]:
    return lambda found: found[""][name] / found[""][whole]


def _share(name: str, none: str, all_of_it: str) -> Callable[[Found], float]:
    """Percent of the way from the loss with `none` to that with all of it, where the loss `name` stands."""
    return lambda found: 100 * (found[""][none] - found[""][name]) / (found[""][none] - found[""][all_of_it])


def _off_the_tape(way: str) -> Callable[[Found], float]:
    """Percent that the prediction of a step's tensors is off by."""
    return lambda found: 100 * (found[way]["predicted"] / found[way]["taped"] - 1)


def _off_the_process(way: str) -> Callable[[Found], float]:
    """Percent that the prediction is off the process's peak, with what it held beside the model before the step."""

    def off(found: Found) -> float:
        one = found[way]
        return 100 * ((one["resident"] - one["fixed"] + one["predicted"]) / one["process"] - 1)

    return off


FOUR_BITS = {"NF4": "nf4+double", "FP4": "fp4", "int4": "int4"}
MERGED = {
    "merged into NF4": "into_nf4",
    "merged in 16 bits": "merged",
    "merged, then NF4": "then_nf4",
    "apart on NF4": "nf4_apart",
}


# The first one of each claim is drawn.
QUANTITIES: dict[str, list[Quantity]] = {
    "delta": [
        *(
            Quantity(
                f"left of what was learned, ΔW cut to rank {r}", "%", _share(f"cut_{r}", "before", "whole"), ".0f", True
            )
            for r in sorted(RANKS, key=lambda r: r != R)
        ),
        Quantity("directions that hold 90% of ΔW's energy", "% of full rank", _number("directions", 100), ".0f", True),
        Quantity(f"energy that {R} directions hold", "%", _number(f"energy_{R}", 100), ".0f", True),
        Quantity("held-out loss before", "nats", _number("before"), full=True),
        Quantity("held-out loss, full fine-tuning", "nats", _number("full"), full=True),
    ],
    "rank": [
        *(
            Quantity(f"rank {r} above rank {R}, {rule}", "nats", _more(lora_way(r, alpha), lora_way(R, ALPHA)), "+.3f")
            for r in RANKS
            if r != R
            for rule, alpha in ((f"α = {ALPHA}", ALPHA), ("α = 2r", 2 * r))
        ),
        Quantity(f"held-out loss, rank {R}, α = {ALPHA}", "nats", _number("loss", way=lora_way(R, ALPHA))),
    ],
    "base4": [
        *(
            Quantity(f"{t} above 16 bits, trained", "nats", _more(way, "16-bit"), "+.3f")
            for t, way in FOUR_BITS.items()
        ),
        *(
            Quantity(f"{t} above NF4, {when}trained", "nats", _more(FOUR_BITS[t], "nf4+double", what), "+.3f")
            for when, what in (("", "loss"), ("un", "before"))
            for t in ("FP4", "int4")
        ),
        *(
            Quantity(f"{t} above 16 bits, untrained", "nats", _more(way, "16-bit", "before"), "+.3f")
            for t, way in FOUR_BITS.items()
        ),
    ],
    "merge": [
        Quantity(f"gain kept, {words}", "%", _share(way, "base", "unmerged"), ".0f") for words, way in MERGED.items()
    ],
    "forget": [
        Quantity(
            "perplexity of plain English after LoRA",
            "times the base's",
            lambda found: found["LoRA"]["general"] / found["base"]["general"],
        ),
        # as many questions as `evaluation.score` asks
        Quantity("everyday answers in the task's form", "%", _number("drift", 100, "LoRA"), ".0f", answers=12),
        Quantity("answers that keep every rule", "%", _number("kept", 100, "LoRA"), ".0f", answers=16),
        Quantity(
            "answers that keep every rule, before", "%", _number("kept", 100, "base"), ".0f", answers=16, before=True
        ),
    ],
    "cut_w": [
        Quantity(
            f"every W cut to {words} numbers",
            "times the perplexity",
            _times(f"stored_{share:g}", "intact"),
            ",.1f",
            log=True,
        )
        for words, share in zip(("as many", "half its"), reversed(STORED), strict=True)
    ],
    "formats": [
        *(
            Quantity(f"{name} above the intact base", "nats a token", _number(name), "+.3f")
            for name in ("Q4_0", "Q8_0", "Q4_1", "NF4 + double", "FP4", "int4")
        ),
        Quantity(
            "int4 above NF4 + double",
            "nats a token",
            lambda found: found[""]["int4"] - found[""]["NF4 + double"],
            "+.3f",
        ),
    ],
    "memory": [
        Quantity(f"{way}, predicted beside {what}", "%", off(way), "+.1f")
        for what, off in (("the tape", _off_the_tape), ("the process", _off_the_process))
        for way in ("LoRA", "QLoRA")
    ],
}


class TableLine(NamedTuple):
    """A quantity at every size: a spread, or why there is none."""

    claim: str
    quantity: Quantity
    at: Mapping[str, Spread | str]  # by the size's title

    @property
    def measured(self) -> dict[str, Spread]:
        """What it is at the sizes where it was measured."""
        return {title: value for title, value in self.at.items() if isinstance(value, Spread)}


def table(record: Mapping[str, Any], sizes: Mapping[str, AskedBase] = SIZES, steps: int = STEPS) -> list[TableLine]:
    """Every quantity of every claim at every size. What was not measured says so, and what cannot be says why."""
    rows = list(done(record["rows"], steps).values())
    return [
        TableLine(claim, one, {size.title: _at(size, claim, one, rows) for size in sizes.values()})
        for claim in CLAIMS
        for one in QUANTITIES[claim]
    ]


def measured_at(quantity: str, title: str) -> float:
    """The mean of a recorded quantity at a size. Raises KeyError where it was not measured."""
    for line in table(recordings.recorded(NAME)):
        if line.quantity.name == quantity and title in line.measured:
            return line.measured[title].mean
    raise KeyError(f"{quantity} was not measured at {title}.")


def _at(size: AskedBase, claim: str, quantity: Quantity, rows: Sequence[Row]) -> Spread | str:
    if quantity.full and size.why_not_full:
        return size.why_not_full
    mine = [row for row in rows if row["claim"] == claim and row["size"] == size.name]
    # what no seed draws was measured once, with seed 0
    drawn = {cell.way for cell in of(size, [claim], [1])}
    shared = {row["way"]: row["found"] for row in mine if row["seed"] == 0 and row["way"] not in drawn}
    values = []
    for seed in [0] if quantity.before else sorted({row["seed"] for row in mine}):
        found = shared | {row["way"]: row["found"] for row in mine if row["seed"] == seed}
        try:
            values.append(quantity.of(found))
        except KeyError:
            continue
    if not values:
        return OPEN
    seeds = len(values) if CLAIMS[claim].trains and not quantity.before else 0
    if quantity.answers:
        low, high = interval(fmean(values) / 100, quantity.answers * len(values))
        return Spread(fmean(values), 100 * low, 100 * high, seeds)
    return Spread(*summary(values)) if len(values) > 1 else Spread(values[0], seeds=seeds)


def said(value: Spread | str, form: str) -> str:
    """A cell of the table in words: the mean, the interval where there is one, and whether it is one run's."""
    if isinstance(value, str):
        return value
    more = [] if value.low is None else [f"{value.low:{form}} to {value.high:{form}}"]
    more += ["1 run"] * (value.seeds == 1)
    return f"{value.mean:{form}}" + f" ({'; '.join(more)})" * bool(more)


def families(sizes: Mapping[str, AskedBase] = SIZES) -> str:
    """Which bases the sizes are, and what beside the size differs between them."""
    named = "; ".join(f"{s.title}: {s.family}, {s.rounded or 'never rounded'}" for s in sizes.values())
    several = len({size.family for size in sizes.values()}) > 1
    return f"{named}." + " Between families not only the size differs." * several
