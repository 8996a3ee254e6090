"""Training runs of a few steps on the tiny model, for tests and for the processes that tests start."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lora_lessons import tasks, training

SHORT = training.Settings(steps=6, batch_size=2, learning_rate=1e-2, warmup=1, checkpoint_every=2)


def make_examples() -> list[tasks.Encoded]:
    """Eight random conversations of ten tokens, of which the last six are supervised."""
    ids = torch.randint(1, 128, (8, 10), generator=torch.Generator().manual_seed(0))
    labels = ids.clone()
    labels[:, :4] = tasks.IGNORED
    return [tasks.Encoded(i, label) for i, label in zip(ids, labels, strict=True)]


def until(found: Callable[[], Any], seconds: float = 600) -> Any:
    """What `found` finds, as soon as it finds something."""
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)
    return result


def adapter(model: Any) -> dict[str, Tensor]:
    """A copy of what `model` learns, by name."""
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two adapters are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Killed(Exception):
    """Stands for whatever stops a run in the middle of it."""


class Interrupting(list[tasks.Encoded]):
    """The examples; when step `step` (1 …) of SHORT's batches asks for its first one, `what` happens instead."""

    def __init__(self, step: int, what: Callable[[], object]) -> None:
        super().__init__(make_examples())
        self.left, self.what = (step - 1) * SHORT.batch_size, what

    def __getitem__(self, index: Any) -> Any:
        if self.left == 0:
            self.what()
        self.left -= 1
        return super().__getitem__(index)


def _killed() -> None:
    raise Killed


def broken_and_whole(
    make: Callable[[], Any], settings: training.Settings, folder: Path
) -> list[tuple[training.Training, dict[str, Tensor]]]:
    """The same run, once stopped in its fourth step and resumed, once unbroken: story and adapter of both."""
    found = []
    for name in ("broken", "whole"):
        model = make()
        if name == "broken":
            with pytest.raises(Killed):
                training.train(model, Interrupting(4, _killed), settings, run_dir=folder / name)
            assert (folder / name / training.CHECKPOINT).is_file()
            model = make()
        result = training.train(model, make_examples(), settings, run_dir=folder / name)
        found.append((result, adapter(model)))
    return found
