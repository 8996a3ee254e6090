"""Against overfitting: the held-out loss at a few points of a training, and the adapter of the best of them kept.

What was kept lies on the disk, so that a run that was killed goes on with what it had found before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ...course.live import LossCurve
from ...files import whole_file
from ...paths import cache_dir
from ...tasks import Encoded
from ...training import Settings, Training, fingerprint
from ...training.loop import trainable

LOOKS = 4


def folder_of(model: Any, train: Sequence[Encoded], held_out: Sequence[Encoded], how: Settings) -> Path:
    """Where the best adapter of a run is kept meanwhile: another run, or other held-out lines, have another folder."""
    digest = hashlib.sha256(fingerprint(model, train, how).encode())
    for one in held_out:
        digest.update(one.input_ids.numpy().tobytes() + one.labels.numpy().tobytes())
    return cache_dir() / "kept_best" / digest.hexdigest()[:24]


def mean(values: Sequence[float]) -> float:
    """The mean of the lines' losses."""
    return sum(values) / len(values)


class KeepBest:
    """Hand it to `training.train` as `on_step`; `look` gives the held-out loss of each line, of the model as it is now.

    It looks LOOKS times, the last time at the end. Afterwards `restore` puts the best A and B back.
    """

    def __init__(
        self, model: Any, look: Callable[[], list[float]], folder: Path, curve: LossCurve | None = None
    ) -> None:
        self.model, self.look, self.curve = model, look, curve
        self.file = folder / "best.safetensors"
        # by step: the loss of every held-out line
        self.looks: dict[int, list[float]] = {}
        self._kept: dict[str, Tensor] = {}

    def __call__(self, run: Training) -> None:
        """Take in a run's story so far, and look where a quarter of it is done."""
        if self.curve:
            self.curve(run)
        done = len(run.losses)
        if not self._kept and done > 1:  # resumed, or read back
            self._read()
        if done not in self.looks and done in {round(run.steps * n / LOOKS) for n in range(1, LOOKS + 1)}:
            self._note(done)

    @property
    def best(self) -> int:
        """The step after which the held-out loss was lowest."""
        return min(self.looks, key=lambda step: mean(self.looks[step]))

    def restore(self) -> int:
        """Put the adapter of the best look back into the model, and return its step."""
        with torch.no_grad():
            for name, p in trainable(self.model).items():
                p.copy_(self._kept[name])
        return self.best

    def _note(self, step: int) -> None:
        self.looks[step] = self.look()
        if self.best == step:
            self._kept = {name: p.detach().cpu().clone() for name, p in trainable(self.model).items()}
        with whole_file(self.file) as temporary:
            save_file(self._kept, temporary, metadata={"looks": json.dumps(self.looks)})

    def _read(self) -> None:
        """What an earlier process found in the same run, bit for bit; nothing where the file is not whole."""
        try:
            with safe_open(self.file, "pt") as file:
                looks = {int(step): losses for step, losses in json.loads(file.metadata()["looks"]).items()}
                kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return
        if kept.keys() == trainable(self.model).keys():
            self.looks, self._kept = looks, kept
