"""What was asked of the phone book, and the recording."""

from __future__ import annotations

from typing import NamedTuple

from ... import training

NAME = "lesson_18_capacity"
COMMAND = "python -m workshop record capacity"
WAYS = ("B·A", "mask")
RANKS, ENTRIES = (1, 2, 4, 16), (32, 128, 512)
HIGH, CUT, CUTS = 64, 8, (1, 2, 4, 8, 16)  # trained high and cut, beside what was trained at CUT
TUNED_AT = 128  # entries of the book that learning rates were found on
BATCH, EPOCHS, LEAST = 32, 64, 300  # every entry is seen EPOCHS times, in LEAST steps or more
LONGER = 4


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
