"""A task in a process of its own, so that its peak memory is its own; its errors are passed on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..machine import kernel_environment

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
        said, late = b"", threading.Event()

        def stop() -> None:
            late.set()
            child.kill()

        clock = threading.Timer(seconds or 0, stop)
        if seconds:
            clock.start()
        try:
            while chunk := os.read(child.stdout.fileno(), 4096):  # type: ignore[union-attr]
                said = (said + chunk)[-4000:]
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
        raise ModelError(f"it was stopped, because it was not done in {seconds:.0f} s.")
    if child.returncode < 0:
        raise ModelError(
            f"the run was killed (signal {-child.returncode}): most likely memory ran out; close what else is running. "
            "Run it again: it goes on from its last checkpoint."
        )
    if child.returncode:
        lines = said.decode(errors="replace").strip().splitlines() or ["no message"]
        kind, _, sentence = lines[-1].rpartition("Error: ")
        raise (ValueError if kind == "Value" else ModelError)(sentence)


def answer(task: Callable[[dict[str, Any], Path], None], arguments: list[str]) -> None:
    """In the process: do the task with what `run_in_process` gave; an error that has a sentence ends with it alone."""
    from ..training import TrainingStopped

    try:
        task(json.loads(arguments[0]), Path(arguments[1]))
    except (ModelError, ValueError, TrainingStopped) as error:
        sys.exit(f"{'Value' if isinstance(error, ValueError) else 'Model'}Error: {error}")
