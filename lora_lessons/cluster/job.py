"""What the ranks are to train, in one small file that each of them reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import safe_open
from safetensors.torch import save_file

from .. import models, tasks
from ..files import read_text, whole_file, write_text
from ..training import Settings

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
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype {self.dtype!r} is not known: choose from {', '.join(DTYPES)}.")
        if self.settings.optimizer not in OPTIMIZERS:
            raise ValueError(
                f"optimizer {self.settings.optimizer!r} cannot be divided among ranks: choose {' or '.join(OPTIMIZERS)}."
            )
        if (folder / JOB).is_file() and read_job(folder) != self:
            raise ValueError(f"{folder} belongs to another training (see {JOB} there): choose another folder.")
        write_text(folder / JOB, json.dumps(asdict_of(self), indent=2) + "\n")

    def examples(self, folder: Path) -> list[tasks.Encoded]:
        """The conversations as tokens: those kept in the folder, a task of the course, or a file of conversations."""
        if self.task == EXAMPLES:
            return read_examples(folder / EXAMPLES)
        tokenizer = models.load_tokenizer(models.folder(self.base))
        given = Path(self.task)
        found = tasks.read_jsonl(given) if given.suffix == ".jsonl" else tasks.load_task(self.task).train
        return [tasks.encode(tokenizer, one) for one in found]


def asdict_of(job: ClusterJob) -> dict[str, Any]:
    """The job as JSON has it."""
    return job._asdict() | {"settings": asdict(job.settings)}


def read_job(folder: Path) -> ClusterJob:
    """The job in FOLDER/job.json. Raises ValueError when it is none, FileNotFoundError when there is no such file."""
    if not (folder / JOB).is_file():
        raise FileNotFoundError(f"no {JOB} in {folder}: `lora-lessons cluster config` writes one.")
    try:
        said = json.loads(read_text(folder / JOB))
        return ClusterJob(**said | {"settings": Settings(**said["settings"])})
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
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
