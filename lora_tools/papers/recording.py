"""The recording of the arms: what it and its runs are called, and which of them are still what they were."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lora_lessons.experiments.sizes.cells import AskedBase
from lora_lessons.models import EMBEDDED

from .arms import ARMS, LADDER, TASK, TriedArm

BASE = "the base"  # before any training
Runs = Mapping[str, Mapping[str, Any]]


def name_of(size: AskedBase) -> str:
    """What a base's recording is called."""
    return "papers" if size.name == EMBEDDED else f"papers_{size.title.lower()}"


def common(size: AskedBase) -> dict[str, Any]:
    """What every run has in common, on any machine."""
    return {
        "what": "arms of the papers' claims on the persona task: held-out loss in nats a supervised token",
        "base": size.name,
        "task": TASK,
    }


def trial(arm: str, rate: float) -> str:
    """What a run of the search is called."""
    return f"{arm}, rate {rate:.3g}"


def final(arm: str, seed: int) -> str:
    """What a run at the best rate is called."""
    return f"{arm}, seed {seed}"


def tried(arm: str, runs: Runs) -> dict[float, float]:
    """The losses of an arm's search, by rate; infinite where the run stopped."""
    losses = {rate: runs[trial(arm, rate)]["loss"] for rate in LADDER if trial(arm, rate) in runs}
    return {rate: math.inf if loss is None else loss for rate, loss in losses.items()}


def how(arm: TriedArm) -> dict[str, Any]:
    """What an arm's result depends on, as it is recorded."""
    left_out = ("first", "seeds", "watched")
    return {name: value for name, value in arm._asdict().items() if name not in left_out}


def as_today(runs: Runs) -> dict[str, Any]:
    """The runs of arms that are still what they were when they were recorded."""
    return {
        name: run
        for name, run in runs.items()
        if name == BASE or (run["arm"] in ARMS and run["how"] == how(ARMS[run["arm"]]))
    }
