"""Bad runs stopped early by ASHA (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", Algorithm 2), as Ray Tune has it.

At a rung, some number of steps, a run may go on if its loss is within the better half of those that came there before.
Nobody waits for anybody, so the first run at a rung always goes on, and so does the best: one run at least comes to its end.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

KEEP = 2  # of so many runs at a rung, one goes on; and each rung is at so many times the steps of the last


def rungs(steps: int) -> list[int]:
    """The steps at which a run of `steps` is judged: a quarter, when the warm-up is over, and a half."""
    found = [max(1, steps // 4)]
    while found[-1] * KEEP < steps:
        found.append(found[-1] * KEEP)
    return [rung for rung in found if rung < steps]


class Referee:
    """Says how far each run may train. Runs are compared within a group alone: one seed, and so the same examples."""

    def __init__(self, steps: int) -> None:
        self.steps, self.rungs = steps, rungs(steps)
        self._schedulers: dict[Any, Any] = {}
        self._judged: dict[tuple[str, int], bool] = {}

    def may_take(self, name: str, group: Any, losses: Sequence[float]) -> int:
        """How many steps the run `name` may take, having seen these losses: its next rung, or all; 0 stops it.

        The same question has the same answer, also when a killed run comes to a rung again.
        """
        for before, rung in zip([0, *self.rungs], self.rungs, strict=False):
            if len(losses) < rung:
                return rung
            if not self._goes_on(name, group, rung, statistics.fmean(losses[before:rung])) and len(losses) < self.steps:
                return 0
        return self.steps

    def _goes_on(self, name: str, group: Any, rung: int, loss: float) -> bool:
        """Whether the run goes on from `rung`, where its mean loss since the rung before was `loss`, in nats."""
        from ray.tune.schedulers import TrialScheduler

        if (name, rung) not in self._judged:
            trial, asha = SimpleNamespace(trial_id=name), self._scheduler(group)
            if not any(judged == name for judged, _ in self._judged):
                asha.on_trial_add(None, trial)
            said = asha.on_trial_result(None, trial, {"steps": rung, "loss": loss})
            self._judged[name, rung] = said != TrialScheduler.STOP
        return self._judged[name, rung]

    def _scheduler(self, group: Any) -> Any:
        from ray.tune.schedulers import ASHAScheduler

        if group not in self._schedulers:
            self._schedulers[group] = ASHAScheduler(
                "steps", "loss", "min", max_t=self.steps, grace_period=self.rungs[0], reduction_factor=KEEP
            )
        return self._schedulers[group]
