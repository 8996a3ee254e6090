"""Running a sweep: papermill runs the training notebook once a trial, and each result is kept.

So a sweep can be stopped, resumed, and read while it runs.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ... import evaluation, models, tasks, training
from ...course.live import LOSSES
from ...errors import Interrupted
from ...files import check_folder, whole_file, write_text
from ...machine import stamp
from ...paths import cache_dir, course_root
from ...run import runner
from ...run.notebooks import read_notebook
from ...sums import damaged, write_sums
from . import room
from .intervals import lines
from .table import TABLE, check_row, read_table, trial_of, write_table
from .trials import Trial, told_apart

RESULT, FIGURE = "result.json", "figure.png"
ADAPTER = "adapter"  # the folder that a run keeps its adapter in, when asked to


def run(
    trials: Sequence[Trial],
    out: Path,
    *,
    resume: bool = False,
    keep_adapters: bool = False,
    on_step: Callable[[training.Training, str], object] | None = None,
) -> list[dict[str, Any]]:
    """Train once for each trial; write out/runs/<name>/result.json as each ends, then the table and the figure.

    Returns the rows of `trials`. With keep_adapters=True each run's adapter stays in its folder (`kept_adapter`).
    With resume=True a trial whose result is there is skipped; one that failed is tried again. A run that fails is
    recorded as failed, and the next one starts. `on_step` hears of each run's losses, as its notebook shows them, and
    in which values the trial differs from the others. Raises FileExistsError when `out` holds results and resume is
    False, or another sweep is writing there; ValueError for PiSSA's adapters, which fit no other base, and for a trial
    that cannot be put on the base or does not fit into this machine; OSError where `out` cannot be; Interrupted when
    stopped (the run in progress goes on from its checkpoint when the sweep is resumed).
    """
    from filelock import FileLock, Timeout

    if keep_adapters and any(trial.method == "pissa" for trial in trials):
        raise ValueError("PiSSA changes W itself, so its A and B fit no other base: sweep it without keeping adapters.")
    out = Path(out).resolve()
    check_folder(out)
    room.check(trials)
    (out / "runs").mkdir(parents=True, exist_ok=True)
    runner.check_parameters([experiment()], trials[0]._asdict())
    try:
        with FileLock(out / ".lock", timeout=0):
            return _run(trials, out, resume, keep_adapters, on_step)
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
) -> list[dict[str, Any]]:
    from tqdm.auto import tqdm

    rows = {trial_of(row): row for row in results(out)}
    before = {trial: row["status"] for trial, row in rows.items()}
    if before and not resume:
        raise FileExistsError(
            f"{out.name} holds the results of {len(before)} runs: add --resume to go on, or choose another --out."
        )
    todo = [s for s in trials if before.get(s) != runner.OK]
    for done in set(trials) - set(todo):
        shutil.rmtree(out / "runs" / done.name / "checkpoints", ignore_errors=True)  # left by a kill at the very end
    if len(todo) < len(trials):
        print(f"{len(trials) - len(todo)} of {len(trials)} runs are done already.")
    names = told_apart(trials)
    for done in (trial for trial in trials if trial not in todo):
        losses = [float(loss) for loss in rows[done]["train_losses"].split()]
        if on_step:
            on_step(training.Training(losses, len(losses), reused=True), names[done])
    bar = tqdm(todo, unit="run", dynamic_ncols=True, mininterval=0.1 if sys.stderr.isatty() else 20)
    for trial in bar:
        bar.set_postfix_str(trial.name)

        def hear(run: training.Training, name: str = names[trial]) -> None:
            if on_step:
                on_step(run, name)

        row = run_one(trial, out / "runs" / trial.name, keep_adapters, hear)
        if row["status"] == runner.FAILED:
            bar.write(f"{trial.name}: failed: {row['error']}")
        try:
            write_table(results(out), out)
        except OSError as error:  # the table is open in another program, say; each result is safe in its own file
            bar.write(f"{TABLE} could not be written now ({error.strerror}); the sweep goes on.")
    write_table(results(out), out)  # also when nothing was left to do: a stop may have come before the last one
    draw(out)
    return [row for row in results(out) if trial_of(row) in set(trials)]


def experiment() -> Path:
    """The training notebook that a sweep runs."""
    return course_root() / "notebooks" / "experiments" / "train_adapter.ipynb"


def cached(name: str) -> Path:
    """A folder of the cache for a lesson's sweep, in which it goes on when it is run again.

    It is another one when the data, the code, the libraries or the machine change. With $LORA_LESSONS_FRESH it is a new
    one every time.
    """
    if os.environ.get("LORA_LESSONS_FRESH"):
        return Path(tempfile.mkdtemp()) / f"sweep-{name}"
    notebook, task = read_notebook(experiment()), tasks.load_task("persona")
    rests_on = [
        training.code_and_machine(torch.device(models.best_device())),
        inspect.getsource(evaluation),
        *(cell.source for cell in notebook.cells if cell.cell_type == "code"),
        json.dumps([task.train, task.held_out]),
    ]
    mark = hashlib.sha256("\n".join(rests_on).encode()).hexdigest()[:24]
    return cache_dir() / "runs" / f"sweep-{name}-{mark}"


def kept_adapter(out: Path, row: Mapping[str, Any]) -> Path:
    """Where the sweep `out` kept the adapter of the run `row`, in PEFT's format."""
    return Path(out) / "runs" / row["name"] / ADAPTER


def run_one(
    trial: Trial, folder: Path, keep_adapter: bool = False, on_step: Callable[[training.Training], object] | None = None
) -> dict[str, Any]:
    """Run the training notebook with one trial's parameters in `folder`; return its row of the table.

    The row is also written there. The checkpoints of a run that did not end well stay: the next try goes on from them.
    `on_step` hears of the losses that the notebook shows while it trains.
    """
    checkpoints = folder / "checkpoints"
    given = trial._asdict() | {"checkpoints": str(checkpoints)}
    if keep_adapter:
        given["adapter"] = str(folder / ADAPTER)

    def hear(shown: Mapping[str, Any]) -> None:
        if on_step and LOSSES in shown:
            on_step(training.Training(**shown[LOSSES]))

    result = runner.run_one(experiment(), given, folder, progress=False, on_display=hear)
    if result.status == runner.INTERRUPTED:
        raise KeyboardInterrupt
    measured = {name.replace(".", "_"): record.value for name, record in result.records.items()}
    error = str(result.error or "").replace(str(folder), "its folder")
    about = stamp()
    row = {
        "name": trial.name,
        "status": result.status,
        **trial._asdict(),
        **measured,
        "error": " ".join(error.split()),
        "seconds": round(result.seconds, 1),
        "date": about["date"],
        "machine": about["machine"],
    }
    write_text(folder / RESULT, json.dumps({"row": row, "versions": about["versions"]}, indent=1) + "\n")
    write_sums(folder, [RESULT, *(f"{ADAPTER}/{file.name}" for file in (folder / ADAPTER).glob("adapter_*"))])
    if result.status == runner.OK:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return row


def results(out: Path) -> list[dict[str, Any]]:
    """The rows of every run that ended in the sweep `out`, in the order of their trials, each with its `versions`.

    A damaged result, or adapter, is said to be so and counts as not done.
    """
    rows = []
    for path in out.glob(f"runs/*/{RESULT}"):
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            row = kept["row"] | {"versions": kept["versions"]}
            check_row(row)
            if row["name"] != path.parent.name:
                raise ValueError(row["name"])
            # an adapter that was deleted is no damage: it is missed when it is asked for
            wrong = [name for name in damaged(path.parent) if (path.parent / name).exists()]
        except (ValueError, KeyError, TypeError, RecursionError):
            wrong = [RESULT]
        if wrong:
            print(f"{path.parent.name}: its {wrong[0]} is damaged, so the run counts as not done.", file=sys.stderr)
        else:
            rows.append(row)
    return sorted(rows, key=trial_of)


def draw(out: Path) -> None:
    """Write out/figure.png from out/results.csv, where there is something to compare."""
    from ...course import pictures
    from ...course.figures import use_style

    found = lines(read_table(out / TABLE))
    (out / FIGURE).unlink(missing_ok=True)  # one of other rows would mislead
    if found:
        use_style()
        with whole_file(out / FIGURE) as temporary:
            pictures.sweep_lines(found).savefig(temporary, format="png", dpi=150)
