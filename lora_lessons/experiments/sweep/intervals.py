"""What runs say together: means over seeds with 95% intervals, pairs by seed, lines by rank."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .trials import Trial


class Summary(NamedTuple):
    """One setting over its seeds: the mean of a quantity and its 95% interval (Student's t)."""

    mean: float
    low: float
    high: float
    seeds: int

    def apart(self, other: Summary) -> bool:
        """Whether the two intervals do not overlap: only then may one be called better."""
        return self.low > other.high or other.low > self.high


# Student's t for a 95% interval, by the number of seeds; beyond these, that of 11, which is a little wide.
_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}


def summary(values: Sequence[float]) -> Summary:
    """Mean and 95% interval of the mean. Raises ValueError for fewer than two values: one run has no interval."""
    if len(values) < 2:
        raise ValueError("an interval needs at least two seeds.")
    half = _T.get(len(values), 2.228) * statistics.stdev(values) / len(values) ** 0.5
    mean = statistics.fmean(values)
    return Summary(mean, mean - half, mean + half, len(values))


def paired(a: Iterable[Mapping[str, Any]], b: Iterable[Mapping[str, Any]], quantity: str = "loss_held_out") -> Summary:
    """a's quantity minus b's, seed by seed, over the seeds that both have: the luck that a seed brings both cancels."""
    first, second = ({run["seed"]: run[quantity] for run in runs} for runs in (a, b))
    return summary([first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())])


def by_setting(rows: Iterable[Mapping[str, Any]]) -> dict[Trial, list[Mapping[str, Any]]]:
    """The runs that differ only in their seed, together; the key's seed is 0."""
    groups: dict[Trial, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[Trial(**{name: row[name] for name in Trial._fields} | {"seed": 0})].append(row)
    return dict(groups)


def lines(rows: Iterable[Mapping[str, Any]], quantity: str = "loss_held_out") -> dict[str, list[tuple[int, Summary]]]:
    """A quantity against r, one line for each way to set alpha that covers at least half of the ranks.

    Ways: LoRA at one α, LoRA at one α/r, and every other method at one of either. Settings with one seed are left out.
    """
    groups = {s: [run[quantity] for run in runs] for s, runs in by_setting(rows).items() if len(runs) > 1}
    ranks = {s.r for s in groups}
    found: dict[str, dict[int, Summary]] = defaultdict(dict)
    differ = {
        "lr ": len({s.learning_rate for s in groups}) > 1,
        "on ": len({s.target_modules for s in groups}) > 1,
        "steps ": len({(s.steps, s.batch_size) for s in groups}) > 1,
    }
    for s, values in groups.items():
        named = (f"{s.learning_rate:g}", s.target_modules, f"{s.steps}×{s.batch_size}")
        several = [word + value for (word, many), value in zip(differ.items(), named, strict=True) if many]
        multiple = f"α = {s.lora_alpha / s.r:g}r" if s.lora_alpha != s.r else "α = r"
        for alpha in (multiple, f"α = {s.lora_alpha:g}"):
            way = ", ".join([*([s.method] if s.method != "lora" else []), alpha, *several])
            found[way][s.r] = summary(values)
    return {way: sorted(points.items()) for way, points in found.items() if len(points) >= max(2, len(ranks) / 2)}
