"""What an experiment measured once: a file of data/measurements/, with the machine, the date and the versions.

Its last field is the SHA-256 of the others, so that a file which was damaged, or changed by hand, is not quoted. What
is measured runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError, Unavailable, first_line
from ..files import write_text
from ..machine import kernel_environment, stamp
from ..paths import measurements
from ..sums import sha256

if TYPE_CHECKING:
    from pandas import DataFrame

DIGEST = "sha256"
AGAIN = "restore it from git, or record it anew (data/README.md says how)."


def recorded(name: str) -> dict[str, Any]:
    """A recording that lessons quote. Raises FileNotFoundError when the checkout lacks it, ValueError as `read`."""
    return read(measurements() / f"{name}.json")


def table(name: str) -> DataFrame:
    """The recording `name` as a pandas table, one row a run; its `attrs` say on which machine, when, and with what.

    Nested fields have dotted names. Raises FileNotFoundError and ValueError as `read`.
    """
    import pandas

    about, file = recorded(name), measurements() / f"{name}.csv"
    if "table_sha256" in about:
        if sha256(file) != about["table_sha256"]:
            raise ValueError(f"{file.name} is not as it was recorded: {AGAIN}")
        made = pandas.read_csv(file)
    else:
        rows = about.get("rows") or about["runs"]
        if isinstance(rows, dict):
            rows = [{"run": run} | row for run, row in rows.items()]
        made = pandas.json_normalize(rows)
    made.attrs = {key: about[key] for key in ("machine", "date", "versions") if key in about}
    return made


def when(record: Mapping[str, Any]) -> str:
    """Where and when it was recorded, as a sentence."""
    return f"Recorded on {record['machine']}, {record['date']}."


def read(file: Path) -> dict[str, Any]:
    """The recording in `file`.

    Raises FileNotFoundError when there is none, ValueError when it is not as it was recorded.
    """
    try:
        recording = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no {file.name} in {file.parent}: {AGAIN}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file.name} is damaged ({first_line(error)}): {AGAIN}") from error
    if not isinstance(recording, dict):
        raise ValueError(f"{file.name} is damaged (it holds no fields by name): {AGAIN}")
    if recording.get(DIGEST) not in (None, digest(recording)):
        raise ValueError(f"{file.name} is not as it was recorded: {AGAIN}")
    return recording


def keep(name: str, found: Mapping[str, Any], out: Path | None = None) -> None:
    """Write a recording, stamped, where `recorded` reads it, or to the file `out`."""
    write(out or measurements() / f"{name}.json", stamp() | dict(found))


def recorded_if_any(name: str) -> dict[str, Any] | None:
    """`recorded`, or None when nobody has recorded it. Raises ValueError as `read`."""
    try:
        return recorded(name)
    except FileNotFoundError:
        return None


def write(file: Path, found: Mapping[str, Any], indent: int = 1) -> None:
    """Write `found` as a recording, with its digest."""
    whole = {key: value for key, value in found.items() if key != DIGEST} | {DIGEST: digest(found)}
    write_text(file, json.dumps(whole, indent=indent, ensure_ascii=False) + "\n")


def digest(found: Mapping[str, Any]) -> str:
    """The SHA-256 of all fields but DIGEST, as JSON reads them back."""
    kept = json.loads(json.dumps({key: value for key, value in found.items() if key != DIGEST}))
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


# Memory in pages of 2 MB, where the system offers them: in pages of 4 kB the kernel takes several times longer to hand
# out a large tensor than it takes to fill it.
LARGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}


def run_in_process(
    module: str,
    task: str,
    wanted: dict[str, Any],
    folder: Path,
    environment: dict[str, str],
    seconds: float | None = None,
) -> None:
    """Run `python -m module task` with settings and a folder (see `answer`), and show what it prints.

    Raises ModelError or ValueError with the sentence that the process ended with, ModelError where it was killed or not
    done within `seconds`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", module, task, json.dumps(wanted), str(folder)]
    env = kernel_environment() | environment | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env) as child:
        output, late = b"", threading.Event()

        def stop() -> None:
            late.set()
            child.kill()

        clock = threading.Timer(seconds or 0, stop)
        if seconds:
            clock.start()
        try:
            while chunk := os.read(child.stdout.fileno(), 4096):  # type: ignore[union-attr]
                output = (output + chunk)[-4000:]
                # several moves of a progress bar may come at once, and each begins a write of its own
                for part in re.split(r"(?=\r)", chunk.decode(errors="replace")):
                    sys.stderr.write(part)
                sys.stderr.flush()
        except BaseException:
            child.terminate()
            raise
        finally:
            clock.cancel()
    if late.is_set():
        raise Unavailable(f"it was stopped, because it was not done in {seconds:.0f} s.")
    if child.returncode < 0:
        raise Unavailable(
            f"the run was killed (signal {-child.returncode}): most likely memory ran out; close what else is running. "
            "Run it again: it goes on from its last checkpoint."
        )
    if child.returncode:
        lines = output.decode(errors="replace").strip().splitlines() or ["no message"]
        kind, _, sentence = lines[-1].rpartition("Error: ")
        raise (ValueError if kind == "Value" else ModelError)(sentence)


def answer(task: Callable[[dict[str, Any], Path], None], arguments: list[str]) -> None:
    """In the process: do the task with what `run_in_process` gave; an error that has a sentence ends with it alone."""
    from ..training import TrainingStopped

    try:
        task(json.loads(arguments[0]), Path(arguments[1]))
    except (ModelError, ValueError, TrainingStopped) as error:
        sys.exit(f"{'Value' if isinstance(error, ValueError) else 'Model'}Error: {error}")
