"""Train in several processes, started by accelerate's launcher, and say what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import Interrupted, ModelError, first_line
from ..files import check_folder, read_text, scratch
from ..machine import kernel_environment
from ..models import EMBEDDED
from ..tasks import Encoded
from ..training import Settings
from ..training.settings import TrainingStopped
from .accelerate_file import ACCELERATE, write_accelerate_file
from .job import EXAMPLES, ClusterJob, write_examples
from .launcher import IN_A_FILE, LOG


class RankLost(TrainingStopped):
    """A rank was killed; the message says which one, and from which step the same call goes on."""


class ClusterOutcome(NamedTuple):
    """What came of a training in several processes: one entry per step in `losses`, one per rank in the lists."""

    # of the whole batch, in nats per supervised token
    losses: list[float]
    # a folder in PEFT's format, as one process saves it
    adapter: Path
    # bytes of parameters that a rank holds between blocks: its shards
    held: list[int]
    # bytes that a rank's process held at most, from when its shards were made; libraries included
    peak: list[int]
    # bytes of weights and gradients that a rank has sent to the others
    sent: list[int]
    # the step that this call went on from; 0 where it began
    begun: int
    # a finished run of the same job was read back
    reused: bool
    # of training, without loading
    seconds: float


def run(
    processes: int,
    out: Path | str,
    *,
    base: str | Path = EMBEDDED,
    task: str | Path | Sequence[Encoded] = "persona",
    r: int = 8,
    lora_alpha: float = 16.0,
    settings: Settings | None = None,
    dtype: str = "fp32",
) -> ClusterOutcome:
    """Train a LoRA adapter with FSDP in `processes` ranks on this machine, into the folder `out`.

    Each batch is divided among the ranks, and the base among their memories; losses and adapter are those of one
    process, to rounding. One process is the course's plain training. `task` is a task of the course, a .jsonl of
    conversations, or examples that are tokens already; `dtype` of the base is "fp32", "bf16" or "nf4" (4 bits).
    A finished run is read back; one that was stopped or lost goes on from its checkpoint, with any number of ranks.
    Raises RankLost when a rank is killed, ValueError, ModelError or TrainingStopped with what a rank had to say.
    """
    out = Path(out).absolute()
    check_folder(out)
    if isinstance(processes, bool) or not isinstance(processes, int) or not 1 <= processes <= 64:
        raise ValueError(f"processes = {processes!r}: give a whole number from 1 to 64, such as 2.")
    told = str(task) if isinstance(task, str | Path) else EXAMPLES
    job = ClusterJob(str(base), told, r, float(lora_alpha), dtype, settings or Settings())
    job.write(out)
    if told == EXAMPLES:
        write_examples(task, out / EXAMPLES)  # type: ignore[arg-type]
    write_accelerate_file(out, processes)
    _launch(processes, out)
    return ClusterOutcome(adapter=out / "adapter", **json.loads(read_text(out / "account.json")))


def _launch(processes: int, out: Path) -> None:
    """Start accelerate's launcher and wait; whatever happens, no process is left. What the ranks print goes to a file."""
    command = [sys.executable, "-m", "lora_lessons.cluster.launcher", "--config_file", str(out / ACCELERATE)]
    command += [*IN_A_FILE, "-m", "lora_lessons.cluster.worker", str(out)]
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    env = kernel_environment() | {"OMP_NUM_THREADS": threads, "TQDM_DISABLE": "1"}
    env |= {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with scratch("cluster") as meeting, open(out / LOG, "w", encoding="utf-8") as log:
        # torch makes a file for the ranks to meet in, and leaves it
        env |= {"TMPDIR": str(meeting)}
        launcher = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env, start_new_session=True)
        try:
            status = launcher.wait()
        except KeyboardInterrupt:
            raise Interrupted("Stopped; the same call goes on from the last checkpoint.") from None
        finally:
            stop(launcher)
    if status < 0:
        raise RankLost(f"the launcher was killed (signal {-status}): the same call goes on from the last checkpoint.")
    if status:
        raise what_was_said(read_text(out / LOG), out)


def stop(launcher: subprocess.Popen[bytes]) -> None:
    """End the launcher, which ends its ranks; they end by themselves when it is killed."""
    if launcher.poll() is None:
        launcher.terminate()
        try:
            launcher.wait(timeout=20)
        except subprocess.TimeoutExpired:
            launcher.kill()
            launcher.wait()


def what_was_said(log: str, out: Path) -> Exception:
    """The error that the launcher's last line stands for."""
    last = (log.strip().splitlines() or ["no message"])[-1]
    head, _, sentence = last.partition(": ")
    if head == "Lost":
        return RankLost(sentence)
    kind, _, sentence = sentence.partition(": ")
    kinds = {"ValueError": ValueError, "ModelError": ModelError, "TrainingStopped": TrainingStopped}
    if head == "Failed" and kind in kinds:
        return kinds[kind](sentence)
    return ModelError(f"a rank failed ({first_line(ValueError(last))}): {out / LOG} has all that the ranks said.")
