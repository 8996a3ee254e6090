"""What a file teaches: answers, or which of two answers is preferred. Both are looked at and trained by the same names.

answers      SFT: the held-out loss of a line is its mean over the answer's tokens, in nats per token
preferences  DPO (lesson 17): that of a pair is −log σ(β·margin), in nats per pair; ln 2 before anything is learned

And what a step of it holds in memory, and how long it takes here: before anything is trained.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ... import lora, memory, models, preferences, training
from ...tasks import Encoded, Preference
from ...training import Settings, Training
from ...training.losses import losses
from .my_data import Choices, MyData, R, rows_of
from .scoring import folder_of, line_losses

OnStep = Callable[[Training], Any]


def of(model: Any, data: MyData, how: Settings, chosen: Choices) -> Answers:
    """How the adapter that is on `model` learns this file; fresh, so that it is still the base."""
    return Preferences(model, data, how, chosen.beta) if data.of_pairs else Answers(model, data, how)


class Answers:
    """Every answer is learned as it stands."""

    def __init__(self, model: Any, data: MyData, how: Settings) -> None:
        self.model, self.data, self.how = model, data, how

    def look(self) -> list[float]:
        """The loss of each held-out line, with the model as it is now."""
        return line_losses(self.model, self.data.held_out, self.how.autocast)

    def kept_in(self) -> Path:
        """The folder in which the best adapter lies while it trains: a run that was cut off goes on there."""
        return folder_of(self.model, self.data.train, self.data.held_out, self.how)

    def train(self, on_step: OnStep) -> Training:
        """Train the adapter in place."""
        return training.train(self.model, self.data.train, self.how, on_step=on_step)


class Preferences(Answers):
    """The chosen answer is to rise against the rejected one; the reference is the model with the adapter off."""

    def __init__(self, model: Any, data: MyData, how: Settings, beta: float) -> None:
        super().__init__(model, data, how)
        self.beta = beta
        with torch.no_grad(), preferences.adapter_off(model):
            self.reference, self._held_out = self._scored(data.train), self._scored(data.held_out)

    def _scored(self, pairs: Sequence[Preference]) -> tuple[Tensor, Tensor]:
        return preferences.scored(self.model, pairs, self.how.autocast, self.how.batch_size)

    def look(self) -> list[float]:
        """The loss of each held-out pair: below ln 2 where its chosen answer has risen against the rejected one."""
        margins = preferences.margins(self._scored(self.data.held_out), self._held_out)
        found: list[float] = (-logsigmoid(self.beta * margins)).tolist()
        return found

    def kept_in(self) -> Path:
        """A new folder: a run that was cut off begins anew."""
        return Path(tempfile.mkdtemp())

    def train(self, on_step: OnStep) -> Training:
        """Train the adapter in place, by DPO."""
        return preferences.train_dpo(self.model, self.data.train, self.reference, self.how, self.beta, on_step=on_step)


# ---- what a step takes ----


def in_four_bits(base: models.Base) -> bool:
    """Whether the base's weights are in 4 bits, on a card or on a processor, whose layers are of another class."""
    return any(hasattr(weight, "quant_state") for weight in base.model.parameters())


def bill(base: models.Base, how: Settings, texts: Sequence[Encoded | Preference] | int) -> float:
    """Bytes at the fullest moment of all steps over `texts`, as the ledger predicts them (lesson 07).

    Of a number of tokens instead of texts: with every example that long, nothing shared, and everything supervised.
    A pair counts as two texts in one rectangle, since both wait for the backward pass: that is a little too much.
    """
    a_pair = 1 if isinstance(texts, int) else len(rows_of(texts[0]))
    job = memory.Job(
        "qlora" if in_four_bits(base) else "lora",
        r=next((layer.r for _, layer in lora.lora_layers(base.model)), R),
        seq=texts if isinstance(texts, int) else 1,
        batch_size=a_pair * how.batch_size,
        gradient_accumulation_steps=how.gradient_accumulation_steps,
        gradient_checkpointing=how.gradient_checkpointing,
        dtype={torch.float32: "fp32", torch.float16: "fp16"}.get(base.model.dtype, "bf16"),
        autocast=how.autocast,
        fast=how.fast,
        optimizer=how.optimizer,
    )
    config, card = base.model.config, base.model.device.type == "cuda"
    if isinstance(texts, int):
        return memory.predict(config, job, card).bill.total
    steps = [[row for i in chosen for row in rows_of(texts[i])] for chosen in training.batches(len(texts), how)]
    return memory.predict_texts(config, job, steps, card).bill.total


def seconds_a_step(model: Any, examples: Sequence[Any], how: Settings) -> float:
    """How long one step takes here: one that is not counted first, because the first waits for the memory it gets."""
    batch = list(examples[: how.batch_size])
    of_pairs = bool(batch) and isinstance(batch[0], Preference)
    loss_of = (lambda part: _apart(model, part, how.autocast)) if of_pairs else losses(model, how)
    was_training = model.training
    model.train()
    with training.checkpointing(model) if how.gradient_checkpointing else training.no_cache(model):
        for _ in range(2):
            begun = _now(model)
            for _ in range(how.gradient_accumulation_steps):
                loss_of(batch).backward()
            taken = _now(model) - begun
    model.train(was_training)
    model.zero_grad()
    return taken


def _apart(model: Any, pairs: Sequence[Preference], autocast: bool) -> Tensor:
    """What takes as long as DPO's loss: how far both answers of the pairs are apart."""
    chosen, rejected = preferences.of_pairs(model, pairs, autocast)
    return (rejected - chosen).mean()


def _now(model: Any) -> float:
    """The clock, when the model's card has done all that it was given: a card works while Python goes on."""
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    return time.perf_counter()
