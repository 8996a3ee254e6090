"""accelerate's launcher and what it is given: its file, and ours, which says what the ranks are to train.

A rank that is lost ends the job with one sentence.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from safetensors import safe_open
from safetensors.torch import save_file

from lora_lessons import models, tasks, training
from lora_lessons.errors import refuse
from lora_lessons.files import read_text, whole_file, write_text
from lora_lessons.outside import visible
from lora_lessons.training import Settings

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
        message = failure.message["message"] if isinstance(failure.message, dict) else failure.message
        return f"Failed: {message}"
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


JOB, EXAMPLES = "job.json", "examples.safetensors"
DTYPES = ("fp32", "bf16", "nf4")
# bitsandbytes' moments in 8 bits come in blocks, which no shard respects
OPTIMIZERS = ("adamw", "adamw_fused")


class ClusterJob(NamedTuple):
    """A training as each rank begins it: which base, in which numbers, which adapter, on what, and how."""

    base: str
    task: str
    r: int
    lora_alpha: float
    dtype: str
    settings: Settings

    def write(self, folder: Path) -> None:
        """Write FOLDER/job.json.

        Raises ValueError for an unknown dtype, an optimizer that cannot be sharded, and a folder that is another job's.
        """
        refuse(
            (
                self.dtype not in DTYPES,
                f"dtype {self.dtype!r} is not known: choose from {', '.join(DTYPES)}.",
            ),
            (
                self.settings.optimizer not in OPTIMIZERS,
                (
                    f"optimizer {self.settings.optimizer!r} cannot be divided among ranks: choose "
                    f"{' or '.join(OPTIMIZERS)}."
                ),
            ),
        )
        if (folder / JOB).is_file() and read_job(folder) != self:
            raise ValueError(f"{folder} belongs to another training (see {JOB} there): choose another folder.")
        said = self._asdict() | {"settings": asdict(self.settings)}
        write_text(folder / JOB, json.dumps(said, indent=2) + "\n")

    def examples(self, folder: Path) -> list[tasks.Encoded]:
        """The conversations as tokens: those kept in the folder, a task of the course, or a file of conversations."""
        if self.task == EXAMPLES:
            return read_examples(folder / EXAMPLES)
        tokenizer = models.load_tokenizer(models.folder(self.base))
        given = Path(self.task)
        conversations = tasks.read_jsonl(given) if given.suffix == ".jsonl" else tasks.load_task(self.task).train
        return [tasks.encode(tokenizer, one) for one in conversations]


def read_job(folder: Path) -> ClusterJob:
    """The job in FOLDER/job.json. Raises ValueError when it is none, FileNotFoundError when there is no such file."""
    if not (folder / JOB).is_file():
        raise FileNotFoundError(f"no {JOB} in {folder}: `lora-lessons cluster config` writes one.")
    text = read_text(folder / JOB)
    try:
        fields = json.loads(text)
        return ClusterJob(**fields | {"settings": Settings(**fields["settings"])})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{folder / JOB} is no job of this course: write it anew with `lora-lessons cluster config`."
        ) from error


def write_examples(examples: Sequence[tasks.Encoded], file: Path) -> None:
    """Keep conversations that are tokens already, for the ranks to read."""
    tensors = {
        f"{number:06d}.{name}": part.contiguous()
        for number, one in enumerate(examples)
        for name, part in one._asdict().items()
        if part is not None
    }
    with whole_file(file) as temporary:
        save_file(tensors, temporary)


def read_examples(file: Path) -> list[tasks.Encoded]:
    """What `write_examples` has kept, in the same order."""
    with safe_open(file, "pt") as kept:
        parts: dict[str, dict[str, Any]] = {}
        for key in sorted(kept.keys()):
            number, _, name = key.partition(".")
            parts.setdefault(number, {})[name] = kept.get_tensor(key)
    return [tasks.Encoded(**one) for one in parts.values()]


ACCELERATE = "accelerate.yaml"


def fsdp_config(offload: bool = False) -> dict[str, Any]:
    """FSDP2 for LoRA: what each line is for stands above it.

    Not in it: mixed precision. It would cast what is gathered, and codes of 4 bits cast to another dtype are no codes.
    """
    return {
        # FSDP1 glues a block into one flat parameter, which our fp32 adapter beside a 16-bit base does not allow
        "fsdp_version": 2,
        # one unit per transformer block: that much is gathered at once
        "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        # let a block go after its forward, and gather it again on the way back
        "fsdp_reshard_after_forward": True,
        # shards wait in the host's memory: less on the card, and all of them travel over its bus at each step
        "fsdp_offload_params": offload,
        # each rank reads the base itself: 4-bit weights cannot be handed on by rank 0
        "fsdp_cpu_ram_efficient_loading": False,
        # our own checkpoints hold the adapter alone, whole
        "fsdp_state_dict_type": "SHARDED_STATE_DICT",
        # training.Settings says whether activations are kept
        "fsdp_activation_checkpointing": False,
    }


def accelerate_config(processes: int, machines: int = 1, *, offload: bool = False) -> Any:
    """accelerate's own ClusterConfig for `processes` ranks in all, on one or several machines."""
    from accelerate.commands.config.config_args import ClusterConfig

    several = machines > 1
    return ClusterConfig(
        compute_environment="LOCAL_MACHINE",
        distributed_type="FSDP",
        mixed_precision="no",
        use_cpu=False,
        debug=False,
        num_processes=processes,
        num_machines=machines,
        # each machine's line says its own
        machine_rank=0,
        # on one machine, any that is free
        main_process_port=29500 if several else 0,
        same_network=True,
        fsdp_config=fsdp_config(offload),
    )


def write_accelerate_file(
    folder: Path, processes: int, machines: int = 1, *, offload: bool = False, head: str = ""
) -> None:
    """Write FOLDER/accelerate.yaml as accelerate itself does, under the comment `head`."""
    with whole_file(folder / ACCELERATE) as temporary:
        accelerate_config(processes, machines, offload=offload).to_yaml_file(temporary)
        temporary.write_text(head + temporary.read_text(encoding="utf-8"), encoding="utf-8")


if __name__ == "__main__":
    main()
