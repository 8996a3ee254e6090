"""Running a sweep: papermill runs the training notebook once a trial, and each result is kept.

So a sweep can be stopped, resumed, and read while it runs.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import Interrupted
from ...files import whole_file, write_text
from ...machine import stamp
from ...paths import course_root
from ...run import runner
from .intervals import lines
from .table import TABLE, read_table, trial_of, write_table
from .trials import Trial

RESULT, FIGURE = "result.json", "figure.png"
ADAPTER = "adapter"  # the folder that a run keeps its adapter in, when asked to


def run(
    trials: Sequence[Trial], out: Path, *, resume: bool = False, keep_adapters: bool = False
) -> list[dict[str, Any]]:
    """Train once for each trial; write out/runs/<name>/result.json as each ends, then the table and the figure.

    Returns the rows of `trials`. With keep_adapters=True each run's adapter stays in its folder (`kept_adapter`).
    With resume=True a trial whose result is there is skipped; one that failed is tried again. A run that fails is
    recorded as failed, and the next one starts. Raises FileExistsError when `out` holds results and resume is False, or
    another sweep is writing there; ValueError for PiSSA's adapters, which fit no other base; Interrupted when stopped
    (the run in progress goes on from its checkpoint when the sweep is resumed).
    """
    from filelock import FileLock, Timeout

    if keep_adapters and any(trial.method == "pissa" for trial in trials):
        raise ValueError("PiSSA changes W itself, so its A and B fit no other base: sweep it without keeping adapters.")
    out = Path(out).resolve()
    (out / "runs").mkdir(parents=True, exist_ok=True)
    runner.check_parameters([experiment()], trials[0]._asdict())
    try:
        with FileLock(out / ".lock", timeout=0):
            return _run(trials, out, resume, keep_adapters)
    except KeyboardInterrupt:
        done = sum(trial_of(row) in set(trials) for row in results(out))
        again = "run this cell again to go on" if resume else "set resume=True to go on from there"
        raise Interrupted(f"Stopped after {done} of {len(trials)} runs; {again}.") from None
    except Timeout as error:
        said = f"another sweep is writing to {out.name}: let it end, or choose another --out."
        raise FileExistsError(said) from error


def _run(trials: Sequence[Trial], out: Path, resume: bool, keep_adapters: bool) -> list[dict[str, Any]]:
    from tqdm.auto import tqdm

    before = {trial_of(row): row["status"] for row in results(out)}
    if before and not resume:
        raise FileExistsError(
            f"{out.name} holds the results of {len(before)} runs: add --resume to go on, or choose another --out."
        )
    todo = [s for s in trials if before.get(s) != runner.OK]
    for done in set(trials) - set(todo):
        shutil.rmtree(out / "runs" / done.name / "checkpoints", ignore_errors=True)  # left by a kill at the very end
    if len(todo) < len(trials):
        print(f"{len(trials) - len(todo)} of {len(trials)} runs are done already.")
    bar = tqdm(todo, unit="run", dynamic_ncols=True, mininterval=0.1 if sys.stderr.isatty() else 20)
    for trial in bar:
        bar.set_postfix_str(trial.name)
        row = run_one(trial, out / "runs" / trial.name, keep_adapters)
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


def kept_adapter(out: Path, row: Mapping[str, Any]) -> Path:
    """Where the sweep `out` kept the adapter of the run `row`, in PEFT's format."""
    return Path(out) / "runs" / row["name"] / ADAPTER


def run_one(trial: Trial, folder: Path, keep_adapter: bool = False) -> dict[str, Any]:
    """Run the training notebook with one trial's parameters in `folder`; return its row of the table.

    The row is also written there. The checkpoints of a run that did not end well stay: the next try goes on from them.
    """
    checkpoints = folder / "checkpoints"
    given = trial._asdict() | {"checkpoints": str(checkpoints)}
    if keep_adapter:
        given["adapter"] = str(folder / ADAPTER)
    result = runner.run_one(experiment(), given, folder, progress=False)
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
    if result.status == runner.OK:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return row


def results(out: Path) -> list[dict[str, Any]]:
    """The rows of every run that ended in the sweep `out`, in the order of their trials, each with its `versions`.

    A damaged result is said to be so and counts as not done.
    """
    rows = []
    for path in out.glob(f"runs/*/{RESULT}"):
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            trial_of(kept["row"])
            rows.append(kept["row"] | {"versions": kept["versions"]})
        except (ValueError, KeyError, TypeError):
            print(f"{path.parent.name}: its {RESULT} is damaged, so the run counts as not done.", file=sys.stderr)
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
