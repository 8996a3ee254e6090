"""accelerate's launcher, for what `run` starts: a rank that is lost ends the job with one sentence.

python -m lora_lessons.cluster.launcher …    takes what `accelerate launch` takes
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from .. import training
from ..outside import visible

# On one machine the launcher meets itself in a file; otherwise it listens to every network. accelerate does not read
# these switches from its file.
IN_A_FILE = ("--rdzv_backend", "c10d", "--rdzv_conf", "store_type=file")
NO_PORT = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
LOST = 3
# In the job's folder: all that the ranks print.
LOG = "log.txt"


def main() -> None:
    """Start the ranks and wait for them. Exits with LOST and a sentence when one of them is killed or fails."""
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    end_with_parent()
    os.environ |= NO_PORT
    arguments = launch_command_parser().parse_args()
    try:
        launch_command(arguments)
    except ChildFailedError as failed:
        print(visible(what_failed(failed, Path(arguments.training_script_args[0]))), file=sys.stderr, flush=True)
        sys.exit(LOST)
    finally:
        meeting_file(os.getpid()).unlink(missing_ok=True)


def meeting_file(launcher: int) -> Path:
    """A file that the ranks of one launch, and no others, come to: named after the launcher and its time of birth."""
    born = psutil.Process(launcher).create_time()
    return Path(tempfile.gettempdir(), f"lora-lessons-{launcher}-{born:.2f}.meeting")


def what_failed(failed: object, folder: Path) -> str:
    """Which rank ended the job and why, and from which step the same command goes on.

    The others lose their connection at that moment and are stopped by the launcher, which is no cause.
    """
    failures = failed.failures  # type: ignore[attr-defined]
    killed = {rank: one for rank, one in failures.items() if one.exitcode < 0 and one.exitcode != -signal.SIGTERM}
    rank, failure = min(killed.items()) if killed else failed.get_first_failure()  # type: ignore[attr-defined]
    if not killed:
        said = failure.message["message"] if isinstance(failure.message, dict) else failure.message
        return f"Failed: {said}"
    done = training.steps_done(folder / "run" / training.CHECKPOINT)
    name = signal.Signals(-failure.exitcode).name
    why = ", most likely because memory ran out" if name == "SIGKILL" else f"; {folder / LOG} has what it said"
    again = f"goes on from step {done}" if done else "starts from the beginning"
    return f"Lost: rank {rank} was killed ({name}{why}), so the others were stopped: the same command {again}."


def end_with_parent() -> None:
    """End this process when the one that started it is gone: killed, that one could not end it."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
