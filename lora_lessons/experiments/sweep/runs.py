"""Running a sweep: one run for each trial, in turn or at once, and the table and the figure of those that have ended.

So a sweep can be stopped, resumed, and read while it runs.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ... import evaluation, models, tasks, training
from ...errors import Interrupted
from ...files import check_folder, lasting_scratch, whole_file
from ...paths import cache_dir
from ...run import runner
from ...run.notebooks import read_notebook
from . import on_ray, room
from .intervals import lines
from .one import RESULT, experiment, kept_row, run_one
from .table import STOPPED, TABLE, read_table, trial_of, write_table
from .trials import Trial, told_apart

FIGURE = "figure.png"


def run(
    trials: Sequence[Trial],
    out: Path,
    *,
    resume: bool = False,
    keep_adapters: bool = False,
    on_step: Callable[[training.Training, str], object] | None = None,
    ray: on_ray.Ray | None = None,
) -> list[dict[str, Any]]:
    """Train once for each trial; write out/runs/<name>/result.json as each ends, then the table and the figure.

    Returns the rows of `trials`. With keep_adapters=True each run's adapter stays in its folder (`kept_adapter`).
    With resume=True a trial whose result is there is skipped; one that failed is tried again, and one that was stopped
    early is trained to its end, unless this sweep stops early, too. A run that fails is recorded as failed, and the
    next one starts. `on_step` hears of each run's losses, as its notebook shows them, and in which values the trial
    differs from the others; with `ray` the runs are Ray's tasks, several at once, and nothing is heard of their losses.
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
    room.check(trials)
    (out / "runs").mkdir(parents=True, exist_ok=True)
    runner.check_parameters([experiment()], trials[0]._asdict())
    try:
        with FileLock(out / ".lock", timeout=0):
            return _run(trials, out, resume, keep_adapters, on_step, ray)
    except KeyboardInterrupt:
        done = sum(trial_of(row) in set(trials) for row in results(out))
        again = "run this cell again to go on" if resume else "set resume=True to go on from there"
        raise Interrupted(f"Stopped after {done} of {len(trials)} runs; {again}.") from None
    except Timeout as error:
        said = f"another sweep is writing to {out.name}: let it end, or choose another --out."
        raise FileExistsError(said) from error


def _run(
    trials: Sequence[Trial],
    out: Path,
    resume: bool,
    keep_adapters: bool,
    on_step: Callable[[training.Training, str], object] | None,
    ray: on_ray.Ray | None,
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
    names = told_apart(trials)
    for trial in done:
        if on_step:
            losses = [float(loss) for loss in rows[trial]["train_losses"].split()]
            on_step(training.Training(losses, len(losses), reused=True), names[trial])

    def hear(trial: Trial, run: training.Training) -> None:
        if on_step:
            on_step(run, names[trial])

    with tqdm(total=len(todo), unit="run", dynamic_ncols=True, mininterval=0.1 if sys.stderr.isatty() else 20) as bar:
        if ray and todo:
            new = on_ray.train(todo, [rows[trial] for trial in done], out, keep_adapters, ray, bar.set_postfix_str)
        else:
            new = _in_turn(todo, out, keep_adapters, hear, bar.set_postfix_str)
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
    hear: Callable[[Trial, training.Training], object],
    show: Callable[[str], object],
) -> Generator[dict[str, Any], None, None]:
    """One run after another, in this process."""
    for trial in todo:
        show(trial.name)
        yield run_one(trial, out / "runs" / trial.name, keep_adapters, partial(hear, trial))


def cached(name: str) -> Path:
    """A folder of the cache for a lesson's sweep, in which it goes on when it is run again.

    It is another one when the data, the code, the libraries or the machine change. With $LORA_LESSONS_FRESH it is a new
    one every time.
    """
    if os.environ.get("LORA_LESSONS_FRESH"):
        return lasting_scratch("fresh") / f"sweep-{name}"
    notebook, task = read_notebook(experiment()), tasks.load_task("persona")
    rests_on = [
        training.code_and_machine(torch.device(models.best_device())),
        inspect.getsource(evaluation),
        *(cell.source for cell in notebook.cells if cell.cell_type == "code"),
        json.dumps([task.train, task.held_out]),
    ]
    mark = hashlib.sha256("\n".join(rests_on).encode()).hexdigest()[:24]
    return cache_dir() / "runs" / f"sweep-{name}-{mark}"


def results(out: Path) -> list[dict[str, Any]]:
    """The rows of every run that ended in the sweep `out`, in the order of their trials, each with its `versions`.

    A damaged result, or adapter, is said to be so and counts as not done.
    """
    rows = [kept_row(path.parent) for path in out.glob(f"runs/*/{RESULT}")]
    return sorted((row for row in rows if row), key=trial_of)


def draw(out: Path) -> None:
    """Write out/figure.png from out/results.csv, where there is something to compare."""
    from ...course import figures
    from ...drawing import use_style

    found = lines(read_table(out / TABLE))
    (out / FIGURE).unlink(missing_ok=True)  # one of other rows would mislead
    if found:
        use_style()
        with whole_file(out / FIGURE) as temporary:
            figures.sweep_lines(found).savefig(temporary, format="png", dpi=150)
