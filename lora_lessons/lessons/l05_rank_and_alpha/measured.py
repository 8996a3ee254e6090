"""What lesson 05 asks of the recorded sweep.

The plain runs, one setting over its seeds, six runs by the recipe; for the scale lab, loss, update and curve at each
setting, and where each of them stands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from math import log2
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from ...experiments import recordings, sweep
from ...experiments.papers.evidence import Evidence
from ...experiments.sizes.table import Spread

Run = Mapping[str, Any]
RATE = 4e-3  # lesson 03's, chosen there at r = 8, alpha = 16
KEYS = ("method", "r", "lora_alpha", "learning_rate", "target_modules")


def plain(runs: Iterable[Run]) -> list[Run]:
    """LoRA on all linear layers at lesson 03's learning rate: what differs is the rank, alpha and the seed."""
    wanted = ("lora", RATE, "all-linear")
    return [run for run in runs if (run["method"], run["learning_rate"], run["target_modules"]) == wanted]


def setting(
    runs: Iterable[Run], method: str, r: int, lora_alpha: float, rate: float = RATE, targets: str = "all-linear"
) -> list[Run]:
    """The runs of one setting, a run a seed."""
    wanted = (method, r, lora_alpha, rate, targets)
    return [run for run in runs if tuple(run[key] for key in KEYS) == wanted]


def over_seeds(runs: Iterable[Run], method: str, r: int, lora_alpha: float, rate: float = RATE) -> sweep.Summary:
    """The held-out loss of one setting on all linear layers, over its seeds."""
    return sweep.summary([run["loss_held_out"] for run in setting(runs, method, r, lora_alpha, rate)])


def by_rule(runs: Iterable[Run]) -> dict[str, list[list[Run]]]:
    """{rule for alpha: the runs of each rank, a run a seed}, for the three rules that lesson 05 compares."""
    rules = {"α = r": lambda r: r, "α = 2r": lambda r: 2 * r, "α = 16": lambda r: 16}
    groups = sweep.by_setting(runs)
    return {rule: [one for s, one in groups.items() if s.lora_alpha == alpha(s.r)] for rule, alpha in rules.items()}


def within_and_between(runs: Iterable[Run]) -> tuple[float, float]:
    """How far the means of one alpha lie apart, at most, whatever their rank;
    and how far the averages of the alphas do."""
    means: dict[float, list[float]] = {}
    for one, of_it in sweep.by_setting(runs).items():
        means.setdefault(one.lora_alpha, []).append(sweep.summary([run["loss_held_out"] for run in of_it]).mean)
    averages = [sum(of_alpha) / len(of_alpha) for of_alpha in means.values()]
    return max(max(of_alpha) - min(of_alpha) for of_alpha in means.values()), max(averages) - min(averages)


def rank_1(runs: Iterable[Run], lora_alpha: float = 16) -> tuple[int, float]:
    """In how many seeds rank 1 came last of all ranks of one alpha; and its mean loss above that of the others,
    in nats."""
    by_rank: dict[int, list[float]] = {}
    for run in sorted(runs, key=lambda run: run["seed"]):
        if run["lora_alpha"] == lora_alpha:
            by_rank.setdefault(run["r"], []).append(run["loss_held_out"])
    first, others = by_rank.pop(1), list(by_rank.values())
    last = sum(all(mine > theirs for theirs in rest) for mine, *rest in zip(first, *others, strict=True))
    return last, fmean(first) - fmean(map(fmean, others))


def at_own_rates() -> Spread:
    """Rank 1's loss above rank 8's, seed by seed, at α = 32 and each at its own rate:
    two arms of the papers' recording."""
    return Evidence({"papers": recordings.recorded("papers")}).above("LoRA, r = 1", "LoRA")


class Recipe(NamedTuple):
    """The recipe of lesson 05, played on the recorded sweep."""

    rates: dict[float, float]  # learning rate → held-out loss of r = 8, alpha = 16
    chosen: float  # the loss of the best of those
    higher: float  # the loss at rank 64, alpha kept, at that rate
    seeds: float  # how far two seeds of one setting lie apart, at most, where only the rank differs
    best: float  # the lowest loss of any setting in the table
    settings: int  # how many settings the table has

    @property
    def behind(self) -> float:
        """How many nats the recipe's choice lies above the best setting of all."""
        return self.chosen - self.best


def recipe(runs: Sequence[Run]) -> Recipe:
    """Three learning rates at r = 8, then rank 64 at the best of them, and what two seeds of one setting differ by."""
    rates = {rate: over_seeds(runs, "lora", 8, 16, rate).mean for rate in (1e-3, 4e-3, 1.6e-2)}
    rate = min(rates, key=lambda one: rates[one])
    same_alpha = [[run["loss_held_out"] for run in one] for one in by_rule(plain(runs))["α = 16"]]
    every = [sweep.summary([run["loss_held_out"] for run in one]).mean for one in sweep.by_setting(runs).values()]
    higher = over_seeds(runs, "lora", 64, 16, rate).mean
    seeds = max(max(losses) - min(losses) for losses in same_alpha)
    return Recipe(rates, rates[rate], higher, seeds, min(every), len(every))


class Tried(NamedTuple):
    """A setting of the recorded sweep over its seeds."""

    r: int
    scale: float
    learning_rate: float
    loss: sweep.Summary
    update: float  # ‖ΔW‖/‖W‖, mean over seeds
    curve: tuple[float, ...]  # training loss by step, mean over seeds

    @property
    def push(self) -> float:
        """Scale × r, which in LoRA is α: how hard AdamW's first steps push the loss down (lesson 05, section 1)."""
        return self.scale * self.r


def measured(table: Path | None = None) -> tuple[Tried, ...]:
    """LoRA and rsLoRA on all linear layers in the recorded sweep (or another table of `lora-lessons sweep`).

    At one scale the two are one and the same training, so they are not told apart. Raises ValueError where no setting
    has two seeds.
    """
    table = table or sweep.recorded()
    if tried := _measured(table, table.stat().st_mtime_ns if table.is_file() else 0):
        return tried
    raise ValueError(f"{table.name}: no setting of LoRA on all linear layers has two seeds; sweep with --seeds 3.")


@cache
def _measured(table: Path, _: int) -> tuple[Tried, ...]:
    rows = [row for row in sweep.read_table(table) if row["method"] in ("lora", "rslora")]
    groups = sweep.by_setting(row for row in rows if row["target_modules"] == "all-linear").items()
    return tuple(
        Tried(
            setting.r,
            runs[0]["scale"],
            setting.learning_rate,
            sweep.summary([run["loss_held_out"] for run in runs]),
            fmean(run["update_relative"] for run in runs),
            tuple(fmean(step) for step in zip(*(run["train_losses"] for run in runs), strict=True)),
        )
        for setting, runs in groups
        if len(runs) > 1
    )


def nearest(r: int, scale: float, learning_rate: float, among: Sequence[Tried]) -> tuple[Tried, bool]:
    """The measured setting nearest in doublings of rank, scale and learning rate, and whether it is this very one."""

    def doublings(m: Tried) -> float:
        pairs = ((r, m.r), (scale, m.scale), (learning_rate, m.learning_rate))
        return sum(abs(log2(here / there)) for here, there in pairs)

    best = min(among, key=doublings)
    return best, doublings(best) < 0.01


def losses_shown(every: Sequence[Tried]) -> tuple[float, float]:
    """The lowest loss, and the highest that still gets a place of its own:
    a few very bad runs must not squeeze the rest."""
    losses = sorted(m.loss.mean for m in every)
    return losses[0], min(losses[-1], losses[0] + 2 * (losses[3 * len(losses) // 4] - losses[0]) + 0.01)


ASIDE = 0.085  # doublings of the push between two ranks that pushed equally hard


def places(every: Sequence[Tried], high: float) -> dict[Tried, tuple[float, float]]:
    """(push, loss) for each setting; of one push and rate the ranks stand side by side, the lowest on the left.

    What lies above `high` stands there. Losses are never moved.
    """
    together: dict[tuple[float, float], list[Tried]] = defaultdict(list)
    for m in every:
        together[m.push, m.learning_rate].append(m)
    placed = {}
    for (push, _), column in together.items():
        for n, m in enumerate(sorted(column, key=lambda m: m.r)):
            placed[m] = push * 2 ** (ASIDE * (n - (len(column) - 1) / 2)), min(m.loss.mean, high)
    return placed
