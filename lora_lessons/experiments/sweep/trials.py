"""The trials of a sweep: what one run is given, and every combination of the values asked for."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

from ...training import Settings

RANKS = (1, 2, 4, 8, 16, 32, 64)
METHODS = ("lora", "rslora", "lora+", "dora", "pissa")
BASES = ("16-bit", "nf4", "nf4+double", "fp4", "int4")  # how the frozen base is kept (lesson 07)
MOST = 10_000  # runs of a sweep, a day or more of them even where each takes ten seconds


class Trial(NamedTuple):
    """What one run is given: parameters of the training notebook, in the names of training.Settings and PEFT."""

    method: str
    r: int
    lora_alpha: float
    learning_rate: float
    target_modules: str
    steps: int
    batch_size: int
    seed: int
    base_format: str = BASES[0]

    @property
    def name(self) -> str:
        """The name of its folder: no two trials share one."""
        targets = self.target_modules.replace(",", "+").replace(".", "-")
        how = f"lr{self.learning_rate:g}_{self.steps}x{self.batch_size}_seed{self.seed}"
        base = "" if self.base_format == BASES[0] else f"_{self.base_format}"
        return f"{self.method}_r{self.r}_alpha{self.lora_alpha:g}_{targets}_{how}{base}"


def grid(
    r: Sequence[int],
    alpha: Sequence[str],
    seeds: int | Sequence[int],
    *,
    methods: Sequence[str] = ("lora",),
    learning_rates: Sequence[float] = (4e-3,),
    target_modules: str = "all-linear",
    steps: int = 24,
    batch_size: int = 4,
    bases: Sequence[str] = BASES[:1],
) -> list[Trial]:
    """Every combination once, all trials of the first seed first.

    An alpha is a number or a multiple of r such as "2x"; `seeds` are their number, or themselves.
    Raises ValueError with what to change when a value cannot be.
    """
    given = {"--r": r, "--alpha": alpha, "--method": methods, "--lr": learning_rates, "--base": bases}
    names = [name.strip() for name in target_modules.split(",")]
    many = seeds if isinstance(seeds, int) else len(seeds)
    runs = many * math.prod(map(len, given.values()))
    packed, reads_W = set(bases) - {BASES[0]}, set(methods) & {"dora", "pissa"}
    # what of the given cannot be, and what to say of the first of it
    faults: list[tuple[Sequence[object], str]] = [
        ([option for option, values in given.items() if not values], "{} is empty: give at least one value."),
        ([rank for rank in r if rank < 1], "--r {}: a rank is a whole number of at least 1."),
        (
            [target_modules] if not all(re.fullmatch(r"[\w.-]+", name) for name in names) else [],
            "--targets {!r}: give all-linear, or names joined by commas: q_proj,v_proj.",
        ),
        ([one for one in methods if one not in METHODS], f"--method {{}}: choose from {', '.join(METHODS)}."),
        ([base for base in bases if base not in BASES], f"--base {{}}: choose from {', '.join(BASES)}."),
        (
            [*reads_W] if packed else [],
            "--method dora and pissa read W itself, which is packed here in 4 bits: use --base 16-bit.",
        ),
        (
            [rate for rate in learning_rates if not 0 < rate < 1],
            "--lr {:g}: a learning rate lies between 0 and 1 (4e-3 is lesson 03's).",
        ),
        (
            [count for count in (many, steps, batch_size) if count < 1],
            "--seeds, --steps and --batch-size are counts of at least 1.",
        ),
        (
            [runs] if runs > MOST else [],
            f"these are {{:,}} runs, and a sweep has at most {MOST:,}: give fewer values, or fewer --seeds.",
        ),
    ]
    for wrong, says in faults:
        if wrong:
            raise ValueError(says.format(wrong[0]))
    chosen = range(seeds) if isinstance(seeds, int) else seeds
    for seed in chosen:
        Settings(steps=steps, batch_size=batch_size, seed=seed)  # raises for what the loop cannot do
    made = {
        Trial(method, rank, alpha_of(word, rank), rate, ",".join(names), steps, batch_size, seed, base): None
        for seed, method, rank, word, rate, base in product(chosen, methods, r, alpha, learning_rates, bases)
    }
    folders = Counter(trial.name for trial in made)
    if shared := [name for name, times in folders.items() if times > 1]:
        raise ValueError(f"two settings would share the folder {shared[0]}: give numbers that differ in six digits.")
    return list(made)


def alpha_of(word: str, r: int) -> float:
    """lora_alpha as the command line says it: "16", or "2x" for twice the rank."""
    try:
        value = float(word.removesuffix("x")) * (r if word.endswith("x") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError(f"--alpha {word}: give a number above 0, such as 16, or a multiple of r, such as 2x.")
    return value
