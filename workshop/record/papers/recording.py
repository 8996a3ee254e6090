"""For each arm the search for its rate at seed 0, then every seed at the best rate, kept run by run.

`python -m workshop record papers` makes the runs that a base's recording lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from lora_lessons import evaluation, models, tasks
from lora_lessons.experiments.sizes.cells import SIZES, AskedBase
from lora_lessons.lowrank import svd
from lora_lessons.models import EMBEDDED
from lora_tools.papers.arms import ARMS, BOOK, LADDER, REACH, REACHES, SCALED, SEEDS, TriedArm, asked
from lora_tools.papers.rates import best_rate
from lora_tools.papers.recording import BASE, as_today, common, final, how, name_of, trial, tried
from workshop.record.capacity import KIND, UPPER, BookRun
from workshop.record.holding import BookBench
from workshop.record.papers.training_arms import fast, one_run, untouched
from workshop.record.papers.watching import nearest, reach
from workshop.record.rates import next_rate
from workshop.record.runs import Runs


def base_named(name: str) -> AskedBase:
    """The base that is asked; the embedded one for "". Raises ValueError for one that there is not."""
    if (name or EMBEDDED) not in SIZES:
        raise ValueError(f"--size {name}: there is no such size; choose from {', '.join(SIZES)}.")
    return SIZES[name or EMBEDDED]


def settings(size: AskedBase) -> dict[str, Any]:
    """The same with this machine's precision; a recording that says otherwise is begun anew."""
    return common(size) | {"bf16": fast()}


def record(size: AskedBase = SIZES[EMBEDDED]) -> dict[str, Any]:
    """Make every run that the recording lacks, and keep it after each."""
    runs = Runs(name_of(size), settings(size))
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
            if name == "LoRA" and seed:  # at half its rate, too, where seed 0 is the search's
                runs.make(final(trial(name, best / 2), seed), partial(_one, name, arm, size, best / 2, seed))
    return runs.made


def record_reaches() -> None:
    # of LoRA at rank 1, and of the phone book of 05_capacity at rank 1: a recording of their own, on whatever machine
    runs, arm = Runs(REACHES, {"what": "σ₁(ΔW) over σ₁₀(W), the median of all matrices"}), "LoRA, r = 1"
    runs.make(BOOK, phone_book)
    runs.make(arm, partial(_one, arm, ARMS[arm], SIZES[EMBEDDED], ARMS[arm].first, 0, (REACH,)))


def phone_book() -> dict[str, Any]:
    """32 entries at rank 1 in one matrix, as 05_capacity trains them: their reach, how unlike W they become, and what
    scaling them down costs and brings back. At rank 1 the intruder is the whole update, so it is the adapter's strength
    that is scaled."""
    base, run = models.load(precision="fp32"), BookRun("B·A", 1, 32)
    blocks, text = base.model.model.layers, tasks.general_text()
    untouched = evaluation.perplexity(base, text)
    bench = BookBench(base, run.entries, UPPER, KIND)
    upper = bench.core.layers
    with bench.adapted(run.way, run.r, run.blocks, run.seed):
        bench.train(run.entries, run.how(3e-2))
        layer = upper[0].mlp.down_proj
        W, change = layer.base_layer.weight.detach().clone(), layer.delta().detach()
    scaled = []
    for kept in (1.0, 0.9, 0.75, 0.5):
        upper[0].mlp.down_proj.weight.data = W + kept * change
        bench.core.layers = upper
        exact = bench.read(run.entries)["exact"]
        bench.core.layers = blocks
        scaled.append({"kept": kept, "exact": exact, "general": evaluation.perplexity(base, text)})
    found = {"W": float(svd(W).S[0]), "update": float(svd(change).S[0]), "cosine": float(nearest(W, W + change).min())}
    return found | {REACH: reach([(W, change)]), SCALED: scaled, "general": untouched}


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
