"""One run of a sweep: papermill runs the training notebook with a trial's parameters, and its row is kept."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lora_lessons.course.live import LOSSES
from lora_lessons.experiments.sweep.table import STOPPED, check_row
from lora_lessons.experiments.sweep.trials import Trial
from lora_lessons.files import write_text
from lora_lessons.machine import stamp
from lora_lessons.paths import course_root
from lora_lessons.run import runner
from lora_lessons.sums import damaged, write_sums

RESULT = "result.json"
ADAPTER = "adapter"  # the folder that a run keeps its adapter in, when asked to
ALLOWED = "steps_allowed"  # the file that says how far a run may train that is stopped early when it is bad


def experiment() -> Path:
    """The training notebook that a sweep runs."""
    return course_root() / "notebooks" / "experiments" / "train_adapter.ipynb"


def run_one(
    trial: Trial,
    folder: Path,
    keep_adapter: bool = False,
    *,
    may_take: Callable[[list[float]], int] | None = None,
    environment: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Run the training notebook with one trial's parameters in `folder`; return its row of the table.

    The row is also written there. The checkpoints of a run that did not end well stay: the next try goes on from them.
    `may_take` is asked, with the losses so far, how many steps the run may take; it waits there, and is stopped where
    the answer is 0. `environment` is the kernel's.
    """
    checkpoints, allowed = folder / "checkpoints", folder / ALLOWED
    given = trial._asdict() | {"checkpoints": str(checkpoints)}
    if keep_adapter:
        given["adapter"] = str(folder / ADAPTER)
    if may_take:
        given["allowed"] = str(allowed)
        write_text(allowed, str(may_take([])))
    losses: list[float] = []
    stopped = False

    def hear(shown: Mapping[str, Any]) -> None:
        nonlocal losses, stopped
        if may_take and LOSSES in shown:
            losses = shown[LOSSES]["losses"]
            steps = may_take(losses)
            stopped = steps == 0
            write_text(allowed, str(steps))

    result = runner.run_one(experiment(), given, folder, environment, progress=False, on_display=hear)
    allowed.unlink(missing_ok=True)
    if result.status == runner.INTERRUPTED:
        raise KeyboardInterrupt
    measured = {name.replace(".", "_"): record.value for name, record in result.records.items()}
    status, error = result.status, str(result.error or "").replace(str(folder), "its folder")
    if stopped and status == runner.FAILED:
        status, error = STOPPED, f"stopped early, after step {len(losses)} of {trial.steps}"
        measured["train_losses"] = " ".join(f"{loss:.4f}" for loss in losses)
    row = keep_row(trial, folder, status, measured, error, result.seconds)
    if status == runner.OK:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return row


def keep_row(
    trial: Trial, folder: Path, status: str, measured: Mapping[str, Any], error: str, seconds: float
) -> dict[str, Any]:
    """Write the row of a run that has ended into its folder, and return it."""
    about = stamp()
    row = {
        "name": trial.name,
        "status": status,
        **trial._asdict(),
        **measured,
        "error": " ".join(error.split()),
        "seconds": round(seconds, 1),
        "date": about["date"],
        "machine": about["machine"],
    }
    write_text(folder / RESULT, json.dumps({"row": row, "versions": about["versions"]}, indent=1) + "\n")
    write_sums(folder, [RESULT, *(f"{ADAPTER}/{file.name}" for file in (folder / ADAPTER).glob("adapter_*"))])
    return row


def kept_row(folder: Path) -> dict[str, Any] | None:
    """The row that a run left in its folder, with its `versions`; None where there is none, or a damaged one,
    as is said."""
    try:
        kept = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        row = kept["row"] | {"versions": kept["versions"]}
        check_row(row)
        if row["name"] != folder.name:
            raise ValueError(row["name"])
        # an adapter that was deleted is no damage: it is missed when it is asked for
        wrong = [name for name in damaged(folder) if (folder / name).exists()]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError):
        wrong = [RESULT]
    if wrong:
        print(f"{folder.name}: its {wrong[0]} is damaged, so the run counts as not done.", file=sys.stderr)
        return None
    return row


def kept_adapter(out: Path, row: Mapping[str, Any]) -> Path:
    """Where the sweep `out` kept the adapter of the run `row`, in PEFT's format."""
    return Path(out) / "runs" / row["name"] / ADAPTER
