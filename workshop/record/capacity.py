"""What is asked of the phone book, what tells most first; before a way's first run its learning rate is found.

It is found on a book of TUNED_AT entries, and its neighbours are tried on the others: of a larger book, learned in more
steps, the lower ones. `python -m workshop record capacity` writes data/measurements/lesson_05_capacity.json, run by
run, and goes on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

from lora_lessons import models, training
from lora_tools.papers.rates import best_rate
from workshop.record.holding import BookBench
from workshop.record.phone_book import BITS
from workshop.record.rates import next_rate
from workshop.record.runs import Runs

NAME = "lesson_05_capacity"
WAYS = ("B·A", "mask")
RANKS, ENTRIES = (1, 2, 4, 16), (32, 128, 512)
HIGH, CUT, CUTS = 64, 8, (1, 2, 4, 8, 16)  # trained high and cut, beside what was trained at CUT
TUNED_AT = 128  # entries of the book that learning rates were found on
BATCH, EPOCHS, LEAST = 32, 64, 300  # every entry is seen EPOCHS times, in LEAST steps or more
LONGER = 4
KIND, UPPER = "down_proj", 4  # adapted in one or all of the last four blocks
SEEDS = (0, 1, 2)
# The ladder of rates, and where the search begins.
RATES, FIRST_RATE = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 9e-1), 3e-2


class BookRun(NamedTuple):
    """One training. `r` of a mask says that it has as many numbers as B·A of that rank; with a rate,
    that is not the best known."""

    way: str
    r: int
    entries: int
    blocks: int = 1
    seed: int = 0
    rate: float | None = None
    longer: int = 1  # so many times as many steps

    @property
    def name(self) -> str:
        """What it is called in the recording."""
        last = f"rate {self.rate:g}" if self.rate else f"seed {self.seed}"
        times = f", {self.longer} times as long" if self.longer > 1 else ""
        return f"{self.way}, r = {self.r}, N = {self.entries}, blocks = {self.blocks}, {last}{times}"

    @property
    def steps(self) -> int:
        """How many steps it is trained for."""
        return self.longer * max(LEAST, EPOCHS * self.entries // BATCH)

    def how(self, rate: float) -> training.Settings:
        """Its settings in the words of the lessons' trainings."""
        return training.Settings(steps=self.steps, batch_size=BATCH, learning_rate=rate, seed=self.seed)


def settings() -> dict[str, Any]:
    """What every run has in common; a recording that says otherwise is begun anew."""
    return {
        "what": (
            "invented names with seven random digits, learned through one kind of matrix; p of a digit is among ten"
        ),
        "bits_an_entry": BITS,
        "kind": KIND,
        "upper": UPPER,
        "batch_size": BATCH,
        "epochs": EPOCHS,
        "least_steps": LEAST,
        "tuned_at": TUNED_AT,
        "precision": models.best_precision().name,
    }


def asked() -> Iterator[BookRun]:
    """Every run at a rate that was found for it, each once, those that tell most first."""
    smallest, *_, largest = ENTRIES
    # where does a rank fall behind?
    yield from (BookRun("B·A", r, largest) for r in RANKS)
    yield from (BookRun("B·A", r, smallest) for r in RANKS)
    # trained high and cut, or trained low?
    yield from (BookRun("B·A", r, largest) for r in (HIGH, CUT))
    # is low rank needed at all?
    yield from (BookRun("mask", r, entries) for entries in (largest, smallest) for r in RANKS)
    # is a rank full, or is it only slow?
    yield from (BookRun("B·A", r, largest, longer=LONGER) for r in (RANKS[2], RANKS[0]))
    # do four blocks hold more than one, number for number?
    yield from (BookRun("B·A", r, largest, UPPER) for r in RANKS)
    for seed in SEEDS[1:]:
        for way in WAYS:
            yield from (BookRun(way, r, largest, seed=seed) for r in RANKS)
        yield from (BookRun("B·A", r, largest, seed=seed) for r in (HIGH, CUT))
    yield from (BookRun("mask", r, largest, UPPER) for r in RANKS)
    for entries in (TUNED_AT, smallest):
        for way in WAYS:
            yield from (BookRun(way, r, entries, UPPER) for r in RANKS)


def tried(way: str, r: int, entries: int, runs: Mapping[str, Mapping[str, Any]]) -> dict[float, float]:
    """The bits that a way holds of a book on one block, at each rate that was tried."""
    wanted = {"way": way, "r": r, "entries": entries, "blocks": 1, "seed": 0, "longer": 1}
    return {run["rate"]: run["bits"] for run in runs.values() if wanted.items() <= run.items()}


def record() -> dict[str, Any]:
    """Make every run that the recording lacks, and keep it after each."""
    runs, bench = Runs(NAME, settings()), cache(_bench)

    def search(cell: BookRun, first: float = FIRST_RATE, steps: tuple[int, ...] = (1, -1)) -> float:
        while rate := next_rate(tried(cell.way, cell.r, cell.entries, runs.made), RATES, first, max, steps):
            trial = cell._replace(rate=rate)
            runs.make(trial.name, partial(_one, trial, rate, bench))
        return best_rate(tried(cell.way, cell.r, cell.entries, runs.made), max)

    for cell in asked():
        found = search(BookRun(cell.way, cell.r, TUNED_AT))
        alone = BookRun(cell.way, cell.r, cell.entries)
        rate = search(alone, found, (-1,) if cell.entries > TUNED_AT else (1, -1))
        if cell != alone:
            runs.make(cell.name, partial(_one, cell, rate, bench))
    return runs.made


def _one(cell: BookRun, rate: float, bench: Any) -> dict[str, Any]:
    cuts = CUTS if cell.way == "B·A" and cell.r == HIGH else ()
    found = bench().trained(cell.way, cell.r, cell.entries, cell.blocks, cell.how(rate), cuts)
    print(
        f"{cell.name}: {found['recall']:.0%} said exactly, {found['bits']:,.0f} bits in {found['trained']:,} numbers, "
        f"rate {rate:g}, {found['seconds']:.0f} s",
        flush=True,
    )
    return cell._asdict() | found


def _bench() -> BookBench:
    """The embedded base, loaded when the first run asks for it."""
    autocast = models.best_precision().name == "bf16"
    return BookBench(models.load(precision="fp32"), ENTRIES[-1], UPPER, KIND, autocast)
