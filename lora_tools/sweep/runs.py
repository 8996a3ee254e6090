"""Running a sweep: one run for each trial, in turn or at once, and the table and the figure of those that have ended.

So a sweep can be stopped, resumed, and read while it runs. At once, the runs are Ray's tasks, here or on a cluster, and
bad ones are stopped early where that is wanted.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from lora_lessons.errors import Interrupted
from lora_lessons.experiments.sweep.table import STOPPED, TABLE, lines, read_table, trial_of, write_table
from lora_lessons.experiments.sweep.trials import Trial
from lora_lessons.files import check_folder, whole_file
from lora_lessons.run import kernel, runner

from ..cluster import ray as cluster
from ..cluster.ray import Referee
from .one import RESULT, experiment, keep_row, kept_row, run_one
from .room import check_room, share_out


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


def train_at_once(
    todo: Sequence[Trial],
    done: Sequence[Mapping[str, Any]],
    out: Path,
    keep_adapters: bool,
    how: Ray,
    show: Callable[[str], object],
) -> Generator[dict[str, Any], None, None]:
    """Train each of `todo`, and yield its row when it ends; `done` are the rows of runs before,
    which count at the rungs.

    `show` hears which runs are at work. Raises ValueError where `how.address` has no room for a run.
    """
    share, slots = share_out(todo, how.at_once, here=not how.address)
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

        with closing(cluster.each(todo, work, arguments, share, slots, say)) as results:
            for trial, ended in results:
                yield _killed(trial, out) if isinstance(ended, cluster.WorkerDied) else ended


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
    return run_one(
        trial,
        folder,
        keep_adapter,
        may_take=partial(_ask, ray, referee, trial) if referee else None,
        environment=kernel.environment(folder) | {"OMP_NUM_THREADS": str(threads)},
    )


def _ask(ray: Any, referee: Any, trial: Trial, losses: list[float]) -> int:
    return ray.get(referee.may_take.remote(trial.name, trial.seed, losses))


def _referee(steps: int, done: Sequence[Mapping[str, Any]]) -> Any:
    """A referee that all workers can ask, and that knows the runs before this sweep went on."""
    import ray

    actor: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Referee)
    referee = actor.remote(steps)
    for row in done:
        ray.get(
            referee.may_take.remote(row["name"], row["seed"], [float(loss) for loss in row["train_losses"].split()])
        )
    return referee


def _killed(trial: Trial, out: Path) -> dict[str, Any]:
    """The row of a run whose worker was killed each time."""
    return keep_row(
        trial,
        out / "runs" / trial.name,
        runner.FAILED,
        {},
        f"its worker was killed each of {cluster.TRIES} times: if memory ran out, choose a smaller --at-once",
        0.0,
    )


def saved(rows: Sequence[Mapping[str, Any]]) -> str:
    """What stopping early saved: which of a sweep's runs ended when, the steps not trained,
    and the best of the others."""
    stopped = sorted((len(row["train_losses"].split()), row["name"]) for row in rows if row["status"] == STOPPED)
    of = sum(row["steps"] for row in rows)
    untrained = sum(row["steps"] - len(row["train_losses"].split()) for row in rows if row["status"] == STOPPED)
    best = min((row for row in rows if row["status"] == runner.OK), key=lambda row: row["loss_held_out"], default=None)
    lines = [
        *(f"Stopped after step {step}: {name}" for step, name in stopped),
        (
            f"{len(stopped)} of {len(rows)} runs were stopped early: {untrained:,} of {of:,} steps "
            f"({untrained / of:.0%}) were not trained."
        ),
        f"The best run, trained to its end: {best['name']}, {best['loss_held_out']:.4f} nats on held-out topics."
        if best
        else "",
    ]
    return "\n".join(filter(None, lines))


FIGURE = "figure.png"


def run(
    trials: Sequence[Trial],
    out: Path,
    *,
    resume: bool = False,
    keep_adapters: bool = False,
    ray: Ray | None = None,
) -> list[dict[str, Any]]:
    """Train once for each trial; write out/runs/<name>/result.json as each ends, then the table and the figure.

    Returns the rows of `trials`. With keep_adapters=True each run's adapter stays in its folder (`kept_adapter`).
    With resume=True a trial whose result is there is skipped; one that failed is tried again, and one that was stopped
    early is trained to its end, unless this sweep stops early, too. A run that fails is recorded as failed, and the
    next one starts. With `ray` the runs are Ray's tasks, several at once.
    Raises FileExistsError when `out` holds results and resume is False, or another sweep is writing there; ValueError
    for PiSSA's adapters, which fit no other base, for a trial that cannot be put on the base or does not fit into this
    machine, and where there is no such Ray; OSError where `out` cannot be; Interrupted when stopped (the runs in
    progress go on from their checkpoints when the sweep is resumed).
    """
    from filelock import FileLock, Timeout

    if keep_adapters and any(trial.method == "pissa" for trial in trials):
        raise ValueError("PiSSA changes W itself, so its A and B fit no other base: sweep it without keeping adapters.")
    if ray:
        ray.check()
    out = Path(out).resolve()
    check_folder(out)
    check_room(trials)
    (out / "runs").mkdir(parents=True, exist_ok=True)
    runner.check_parameters([experiment()], trials[0]._asdict())
    try:
        with FileLock(out / ".lock", timeout=0):
            return _run(trials, out, resume, keep_adapters, ray)
    except KeyboardInterrupt:
        done = sum(trial_of(row) in set(trials) for row in results(out))
        again = "run this cell again to go on" if resume else "set resume=True to go on from there"
        raise Interrupted(f"Stopped after {done} of {len(trials)} runs; {again}.") from None
    except Timeout as error:
        raise FileExistsError(
            f"another sweep is writing to {out.name}: let it end, or choose another --out."
        ) from error


def _run(
    trials: Sequence[Trial],
    out: Path,
    resume: bool,
    keep_adapters: bool,
    ray: Ray | None,
) -> list[dict[str, Any]]:
    from tqdm.auto import tqdm

    rows = {trial_of(row): row for row in results(out)}
    if rows and not resume:
        raise FileExistsError(
            f"{out.name} holds the results of {len(rows)} runs: add --resume to go on, or choose another --out."
        )
    ended = {runner.OK, STOPPED} if ray and ray.stop_early else {runner.OK}
    todo = [trial for trial in trials if trial not in rows or rows[trial]["status"] not in ended]
    done = [trial for trial in trials if trial not in todo]
    for trial in done:
        if rows[trial]["status"] == runner.OK:
            shutil.rmtree(
                out / "runs" / trial.name / "checkpoints", ignore_errors=True
            )  # left by a kill at the very end
    if done:
        print(f"{len(done)} of {len(trials)} runs are done already.")
    with tqdm(total=len(todo), unit="run", dynamic_ncols=True, mininterval=0.1 if sys.stderr.isatty() else 20) as bar:
        if ray and todo:
            new = train_at_once(todo, [rows[trial] for trial in done], out, keep_adapters, ray, bar.set_postfix_str)
        else:
            new = _in_turn(todo, out, keep_adapters, bar.set_postfix_str)
        with closing(new):
            for row in new:
                bar.update()
                if row["status"] != runner.OK:
                    failed = "failed: " * (row["status"] == runner.FAILED)
                    bar.write(f"{row['name']}: {failed}{row['error']}")
                try:
                    write_table(results(out), out)
                except (
                    OSError
                ) as error:  # the table is open in another program, say; each result is safe in its own file
                    bar.write(f"{TABLE} could not be written now ({error.strerror}); the sweep goes on.")
    write_table(results(out), out)  # also when nothing was left to do: a stop may have come before the last one
    draw(out)
    return [row for row in results(out) if trial_of(row) in set(trials)]


def _in_turn(
    todo: Sequence[Trial],
    out: Path,
    keep_adapters: bool,
    show: Callable[[str], object],
) -> Generator[dict[str, Any], None, None]:
    """One run after another, in this process."""
    for trial in todo:
        show(trial.name)
        yield run_one(trial, out / "runs" / trial.name, keep_adapters)


def results(out: Path) -> list[dict[str, Any]]:
    """The rows of every run that ended in the sweep `out`, in the order of their trials, each with its `versions`.

    A damaged result, or adapter, is said to be so and counts as not done.
    """
    rows = [kept_row(path.parent) for path in out.glob(f"runs/*/{RESULT}")]
    return sorted((row for row in rows if row), key=trial_of)


def draw(out: Path) -> None:
    """Write out/figure.png from out/results.csv, where there is something to compare."""
    from lora_lessons.course import pictures
    from lora_lessons.drawing import use_style

    ways = lines(read_table(out / TABLE))
    curves: dict[str, dict[float, Any]] = {
        way: {r: (one.low, one.mean, one.high) for r, one in points} for way, points in ways.items()
    }
    (out / FIGURE).unlink(missing_ok=True)  # one of other rows would mislead
    if curves:
        use_style()
        with whole_file(out / FIGURE) as temporary:
            picture = pictures.lines(curves, "rank r", "held-out loss (nats)", log_x=True)
            picture.savefig(temporary, format="png", dpi=150)
