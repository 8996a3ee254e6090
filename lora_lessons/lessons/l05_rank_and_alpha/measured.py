"""What the sweep measured at each setting, for the scale lab: loss, update and curve, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import log2
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from ...experiments import sweep


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
    if found := _measured(table, table.stat().st_mtime_ns if table.is_file() else 0):
        return found
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
