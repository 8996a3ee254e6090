"""The recording: for each arm the search for its rate at seed 0, then every seed at the best rate, kept run by run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ... import models
from ...lowrank import svd
from ...models import EMBEDDED
from .. import capacity, recordings
from ..rates import best_rate, next_rate
from ..sizes.cells import SIZES, AskedBase
from .arms import ARMS, BOOK, LADDER, REACH, REACHES, SEEDS, TASK, TriedArm, asked
from .training_arms import fast, one_run, untouched
from .watching import nearest, reach

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


def settings(size: AskedBase) -> dict[str, Any]:
    """The same with this machine's precision; a recording that says otherwise is begun anew."""
    return common(size) | {"bf16": fast()}


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


def record(size: AskedBase = SIZES[EMBEDDED]) -> dict[str, Any]:
    """Make every run that the recording lacks, and keep it after each."""
    runs = recordings.Runs(name_of(size), settings(size))
    runs.made = as_today(runs.made)
    runs.make(BASE, partial(untouched, size.name))
    for name, arm in asked(size.name, size.full is not None).items():
        while rate := next_rate(tried(name, runs.made), LADDER, arm.first):
            runs.make(trial(name, rate), partial(_one, name, arm, size, rate))
        best = best_rate(tried(name, runs.made))
        for seed in SEEDS[: arm.seeds]:
            run: Callable[[], Mapping[str, Any]] = partial(_one, name, arm, size, best, seed, arm.watched)
            if seed == 0 and not arm.watched:
                run = partial(runs.made.__getitem__, trial(name, best))
            runs.make(final(name, seed), run)
    return runs.made


def record_reaches() -> None:
    # of LoRA at rank 1, and of lesson 18's phone book at rank 1: a recording of their own, on whatever machine
    runs, arm = recordings.Runs(REACHES, {"what": "σ₁(ΔW) over σ₁₀(W), the median of all matrices"}), "LoRA, r = 1"
    runs.make(BOOK, phone_book)
    runs.make(arm, partial(_one, arm, ARMS[arm], SIZES[EMBEDDED], ARMS[arm].first, 0, (REACH,)))


def phone_book() -> dict[str, float]:
    """32 entries at rank 1 in one matrix, as lesson 18 trains them: their reach, and how unlike W they become."""
    run, bench = capacity.BookRun("B·A", 1, 32), capacity.BookBench(models.load(precision="fp32"), 32, 4, "down_proj")
    with bench.adapted(run.way, run.r, run.blocks, run.seed):
        bench.train(run.entries, run.how(3e-2))
        layer = bench.core.layers[0].mlp.down_proj
        W, change = layer.base_layer.weight.detach(), layer.delta().detach()
    found = {"W": float(svd(W).S[0]), "update": float(svd(change).S[0]), "cosine": float(nearest(W, W + change).min())}
    return found | {REACH: reach([(W, change)])}


def _one(
    name: str, arm: TriedArm, size: AskedBase, rate: float, seed: int = 0, watched: tuple[str, ...] = ()
) -> dict[str, Any]:
    found = one_run(size.name, arm, rate, seed, watched)
    ended = "stopped" if found["loss"] is None else f"{found['loss']:.4f} nats"
    print(
        f"{name}, rate {rate:.3g}, seed {seed}: {ended}, {found['trained']:,} numbers, {found['seconds']:.0f} s",
        flush=True,
    )
    return {"arm": name, "how": how(arm)} | found
