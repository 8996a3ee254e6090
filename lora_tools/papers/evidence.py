"""What the verdicts rest on: the recordings, differences seed by seed with their intervals,
and when two are told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lora_lessons.experiments.sizes.table import ALONE, Spread
from lora_lessons.experiments.sweep.table import summary

from .arms import ARMS
from .rates import between
from .recording import BASE, Runs, as_today, final, tried

APART = 0.02  # nats: what the steps of the ladder of rates may hide, whatever the seeds say


class NotRecorded(KeyError):
    """What a verdict rests on has not been recorded."""


class Stopped(ValueError):
    """A run that a verdict rests on diverged; the message is the run's own."""


class Evidence:
    """The recordings, by name. What was not recorded raises NotRecorded,
    a run that diverged at its best rate Stopped."""

    def __init__(self, recordings: Mapping[str, Mapping[str, Any]], size: str = "papers") -> None:
        self.recordings, self.whole = recordings, size == "papers"
        self.arms: Runs = as_today(recordings.get(size, {}).get("runs", {}))

    def runs(self, name: str) -> Runs:
        """The runs of another experiment's recording."""
        if not (found := self.recordings.get(name, {}).get("runs")):
            raise NotRecorded(name)
        return found

    def each(self, arm: str) -> list[Mapping[str, Any]]:
        """An arm's runs at its best rate, seed by seed; of a larger base the one of seed 0."""
        names = [final(arm, seed) for seed in range(ARMS[arm].seeds if self.whole else 1)]
        if missing := [name for name in names if name not in self.arms]:
            raise NotRecorded(missing[0])
        for name in names:
            if self.arms[name]["loss"] is None:
                raise Stopped(f"{name}: {self.arms[name]['stopped']}")
        return [self.arms[name] for name in names]

    def base(self) -> Mapping[str, Any]:
        """The base before any training."""
        if BASE not in self.arms:
            raise NotRecorded(BASE)
        return self.arms[BASE]

    def losses(self, arm: str) -> list[float]:
        return [run["loss"] for run in self.each(arm)]

    def rate(self, arm: str) -> float:
        """Where its loss is lowest, between the rates that were tried at seed 0."""
        self.each(arm)
        if not (losses := tried(arm, self.arms)):
            raise NotRecorded(arm)
        return between(losses)

    def above(self, arm: str, other: str) -> Spread:
        """How far an arm's loss ends above another's, seed by seed."""
        return spread(self.losses(arm), self.losses(other))


def spread(a: Sequence[float], b: Sequence[float]) -> Spread:
    """a − b, seed by seed: mean and 95% interval; of one seed,
    so far to each side as runs and ladder tell nothing apart."""
    differences = [one - other for one, other in zip(a, b, strict=False)]
    if len(differences) == 1:
        return Spread(differences[0], differences[0] - ALONE - APART, differences[0] + ALONE + APART)
    return Spread(*summary(differences))


def in_words(value: Spread, form: str = "+.3f") -> str:
    """The mean with its 95% interval, or that it is one seed's."""
    sure = "one seed" if value.seeds == 1 else f"{value.low:{form}} to {value.high:{form}}"
    return f"{value.mean:{form}} ({sure})"


def above(value: Spread, least: float = APART) -> bool:
    """Whether a is above b: the interval says so, and the mean is at least `least`."""
    return value.low is not None and value.low > 0 and value.mean >= least


def below(value: Spread, least: float = APART) -> bool:
    """Whether a is below b, as `above`."""
    return value.high is not None and value.high < 0 and value.mean <= -least
