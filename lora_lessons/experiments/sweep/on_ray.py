"""A sweep's runs as Ray's tasks: several at once, here or on a cluster, and bad ones stopped early where that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ...run import kernel, runner
from ...tools.cluster import ray
from ...tools.cluster import ray as cluster
from ...tools.cluster.ray import Referee
from . import room
from .one import keep_row, kept_row, run_one
from .table import STOPPED
from .trials import Trial


class Ray(NamedTuple):
    """Where a sweep's runs are trained, and how."""

    address: str = ""  # HOST:PORT of a cluster, or auto; empty: on this machine, started and ended by the sweep
    at_once: int | None = None  # None: one run a core, as far as memory allows
    stop_early: bool = False

    def check(self) -> None:
        """Raise ValueError where there is no Ray, or a number that cannot be."""
        if self.at_once is not None and self.at_once < 1:
            raise ValueError(f"--at-once {self.at_once}: give a whole number of at least 1.")
        cluster.check_installed()


def train(
    todo: Sequence[Trial],
    done: Sequence[Mapping[str, Any]],
    out: Path,
    keep_adapters: bool,
    how: Ray,
    show: Callable[[str], object],
) -> Generator[dict[str, Any], None, None]:
    """Train each of `todo`, and yield its row when it ends; `done` are the rows of runs before, which count at the rungs.

    `show` hears which runs are at work. Raises ValueError where `how.address` has no room for a run.
    """
    share, slots = room.share(todo, how.at_once, here=not how.address)
    with cluster.running(how.address, share, slots) as fit:
        if not fit:
            raise ValueError(
                f"no machine at {how.address} has {share.threads} cores and {share.memory / 1e9:.1f} GB free for a run."
            )
        slots = min(slots, fit)
        where = f"Joined Ray at {how.address}" if how.address else "Started Ray on this machine"
        print(f"{where}: {slots} runs at once, {share.threads} threads and {share.memory / 1e9:.1f} GB each.")
        referee = _referee(todo[0].steps, done) if how.stop_early else None

        def arguments(trial: Trial) -> tuple[Any, ...]:
            return trial, out / "runs" / trial.name, keep_adapters, share.threads, referee

        def say(at_work: list[Trial]) -> None:
            show(", ".join(trial.name for trial in at_work))

        with closing(ray.each(todo, work, arguments, share, slots, say)) as results:
            for trial, ended in results:
                yield _killed(trial, out) if isinstance(ended, ray.WorkerDied) else ended


def work(trial: Trial, folder: Path, keep_adapter: bool, threads: int, referee: Any) -> dict[str, Any]:
    """In a worker: one run. A worker that was killed after its run had ended finds its row there."""
    import ray

    if not folder.parent.is_dir():
        raise FileNotFoundError(
            f"a machine of the cluster does not see {folder.parent}: choose an --out on a disk that all share."
        )
    row = kept_row(folder)
    if row and (row["status"] == runner.OK or (referee and row["status"] == STOPPED)):
        return row
    environment = kernel.environment(folder) | {"OMP_NUM_THREADS": str(threads)}
    may_take = partial(_ask, ray, referee, trial) if referee else None
    return run_one(trial, folder, keep_adapter, may_take=may_take, environment=environment)


def _ask(ray: Any, referee: Any, trial: Trial, losses: list[float]) -> int:
    return ray.get(referee.may_take.remote(trial.name, trial.seed, losses))


def _referee(steps: int, done: Sequence[Mapping[str, Any]]) -> Any:
    """A referee that all workers can ask, and that knows the runs before this sweep went on."""
    import ray

    actor: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Referee)
    referee = actor.remote(steps)
    for row in done:
        losses = [float(loss) for loss in row["train_losses"].split()]
        ray.get(referee.may_take.remote(row["name"], row["seed"], losses))
    return referee


def _killed(trial: Trial, out: Path) -> dict[str, Any]:
    """The row of a run whose worker was killed each time."""
    said = f"its worker was killed each of {ray.TRIES} times: if memory ran out, choose a smaller --at-once"
    return keep_row(trial, out / "runs" / trial.name, runner.FAILED, {}, said, 0.0)


def saved(rows: Sequence[Mapping[str, Any]]) -> str:
    """What stopping early saved: which of a sweep's runs ended when, the steps not trained, and the best of the others."""
    stopped = sorted((len(row["train_losses"].split()), row["name"]) for row in rows if row["status"] == STOPPED)
    lines = [f"Stopped after step {step}: {name}" for step, name in stopped]
    of = sum(row["steps"] for row in rows)
    untrained = sum(row["steps"] - len(row["train_losses"].split()) for row in rows if row["status"] == STOPPED)
    lines.append(
        f"{len(stopped)} of {len(rows)} runs were stopped early: {untrained:,} of {of:,} steps ({untrained / of:.0%}) were not trained."
    )
    whole = [row for row in rows if row["status"] == runner.OK]
    if whole:
        best = min(whole, key=lambda row: row["loss_held_out"])
        lines.append(
            f"The best run, trained to its end: {best['name']}, {best['loss_held_out']:.4f} nats on held-out topics."
        )
    return "\n".join(lines)
