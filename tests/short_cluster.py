"""A training of a few steps for several ranks, for the tests of a cluster."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from safetensors.torch import load_file
from torch import Tensor

from lora_lessons import tasks, training
from lora_lessons.adapter import ADAPTER_WEIGHTS
from lora_tools.cluster import worker
from lora_tools.cluster.launcher import EXAMPLES, ClusterJob

# Three examples a step: among two ranks 2 and 1, among four 1, 1, 1 and none.
SETTINGS = training.Settings(steps=16, batch_size=3, learning_rate=1e-2, warmup=1, checkpoint_every=2)


def make_examples() -> list[tasks.Encoded]:
    """Nine random conversations of 6 to 14 tokens, with answers of 1 to 9:
    a mean of the ranks' means would be wrong."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for number in range(9):
        ids = torch.randint(3, 128, (6 + number,), generator=generator)
        labels = ids.clone()
        labels[: 5 if number else 4] = tasks.IGNORED
        made.append(tasks.Encoded(ids, labels))
    return made


def same(one: Path, other: Path, within: float = 2e-5) -> None:
    """Assert that two adapters are equal to rounding: learned numbers are of the size of 0.1 here."""
    mine, yours = learned(one), learned(other)
    assert mine.keys() == yours.keys()
    for name, tensor in mine.items():
        torch.testing.assert_close(
            tensor, yours[name], rtol=0, atol=within, msg=lambda said, name=name: f"{name}: {said}"
        )


def learned(adapter: Path) -> dict[str, Tensor]:
    """A and B of an adapter's folder, by name."""
    return load_file(adapter / ADAPTER_WEIGHTS)


def in_this_process(
    folder: Path,
    base: Path,
    examples: Sequence[tasks.Encoded],
    settings: training.Settings = SETTINGS,
    dtype: str = "fp32",
) -> dict[str, Any]:
    """What `cluster.run` does in one process, without the seconds that a process takes to start: its account."""
    folder.mkdir(exist_ok=True)
    ClusterJob(str(base), EXAMPLES, 4, 16.0, dtype, settings).write(folder)
    with (
        mock.patch.object(worker, "end_with_parent"),
        mock.patch.object(ClusterJob, "examples", lambda *_: examples),
    ):
        worker.main.__wrapped__(folder)
    return json.loads((folder / worker.ACCOUNT).read_text())
