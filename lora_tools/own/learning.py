"""What a file teaches: answers, or which of two answers is preferred. Both are looked at and trained by the same names.

answers      SFT: the held-out loss of a line is its mean over the answer's tokens, in nats per token
preferences  DPO (lesson 13): that of a pair is −log σ(β·margin), in nats per pair; ln 2 before anything is learned
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn.functional import logsigmoid

from lora_lessons import preferences, training
from lora_lessons.adapter import Adapter
from lora_lessons.files import lasting_scratch
from lora_lessons.tasks import Preference
from lora_lessons.training import Settings, Training

from .my_data import Choices, MyData
from .scoring import folder_of, line_losses
from .second_round import as_it_began

OnStep = Callable[[Training], Any]


def of(model: Any, data: MyData, how: Settings, chosen: Choices, start: Adapter | None = None) -> Answers:
    """How the adapter that is on `model` learns this file: a fresh one, or as a second round began with it."""
    if data.of_pairs:
        return Preferences(model, data, how, chosen.beta, start)
    return Answers(model, data, how)


class Answers:
    """Every answer is learned as it stands."""

    def __init__(self, model: Any, data: MyData, how: Settings) -> None:
        self.model, self.data, self.how = model, data, how

    def look(self) -> list[float]:
        """The loss of each held-out line, with the model as it is now."""
        return line_losses(self.model, self.data.held_out, self.how.autocast)

    def kept_in(self) -> Path:
        """The folder in which the best adapter lies while it trains: a run that was cut off goes on there."""
        return folder_of(self.model, self.data.taught, self.data.held_out, self.how)

    def train(self, on_step: OnStep) -> Training:
        """Train the adapter in place."""
        return training.train(self.model, self.data.taught, self.how, on_step=on_step)


class Preferences(Answers):
    """The chosen answer is to rise against the rejected one; the reference is what training begins with.

    So it is the model with the adapter off, or, in a second round, with the one that it goes on from: there, too, the
    loss of a pair begins at ln 2.
    """

    def __init__(self, model: Any, data: MyData, how: Settings, beta: float, start: Adapter | None = None) -> None:
        super().__init__(model, data, how)
        self.beta = beta
        with as_it_began(model, start):
            self.reference, self._held_out = self._scored(data.train), self._scored(data.held_out)

    def _scored(self, pairs: Sequence[Preference]) -> tuple[Tensor, Tensor]:
        return preferences.scored(self.model, pairs, self.how.autocast, self.how.batch_size)

    def look(self) -> list[float]:
        """The loss of each held-out pair: below ln 2 where its chosen answer has risen against the rejected one."""
        margins = preferences.margins(self._scored(self.data.held_out), self._held_out)
        found: list[float] = (-logsigmoid(self.beta * margins)).tolist()
        return found

    def kept_in(self) -> Path:
        """A new folder, gone with this process: a run that was cut off begins anew."""
        return lasting_scratch("kept-best")

    def train(self, on_step: OnStep) -> Training:
        """Train the adapter in place, by DPO."""
        return preferences.train_dpo(self.model, self.data.train, self.reference, self.how, self.beta, on_step=on_step)
