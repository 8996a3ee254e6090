"""The training loop: batch → loss on the answers' tokens → backward → AdamW moves what is trainable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import nn

from ..tasks import IGNORED, Encoded
from .gradients import check_gradients, check_loss, trainable
from .losses import losses, micro_batches
from .optimizers import set_rate
from .ranks import ALONE, Alone
from .settings import Settings


def training_steps(
    model: nn.Module,
    examples: Sequence[Encoded],
    settings: Settings,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    first: int = 0,
    ranks: Alone = ALONE,
) -> Iterator[Step]:
    """Train in place, step `first` … settings.steps − 1; what each step saw is handed out when it is done.

    A generator: the caller's loop drives it. `train` (in runs.py) adds reuse, checkpoints and progress. Without fp16
    the scaler does nothing: read `loss.backward()` and `optimizer.step()`. A batch may go through the model part by part:
    each adds its share of the loss and of the gradients. Where several `ranks` train, each loss is what this one adds to
    the batch's; FSDP averages their gradients, and we want the sum, hence `ranks.count`.
    Raises TrainingStopped when the loss is not finite, or a matrix gets no gradient.
    """
    learned = trainable(model)
    loss_of = losses(model, settings, ranks)
    for number, chosen in enumerate(batches(len(examples), settings)[first:], start=first):
        # each step has its own randomness, so that a resumed run repeats it
        torch.manual_seed(settings.seed * 1_000_003 + number)
        batch = [examples[i] for i in chosen]
        found = torch.zeros(())
        optimizer.zero_grad()
        for part, share in micro_batches(batch, settings.batch_size):
            loss = loss_of(part) * share
            found = found + ranks.total(loss.detach())
            check_loss(found, number, settings.learning_rate)
            scaler.scale(loss * ranks.count).backward()
        if number == first:
            check_gradients(learned)
        if settings.max_grad_norm is not None:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(learned.values(), settings.max_grad_norm)
        set_rate(optimizer, settings.rate(number))
        scaler.step(optimizer)
        scaler.update()
        supervised = sum(int((one.labels != IGNORED).sum()) for one in batch)
        yield Step(number, found.item(), sum(len(one.input_ids) for one in batch), supervised)


class Step(NamedTuple):
    """What one step saw: its loss in nats per supervised token, the tokens in its batch, and the supervised ones.

    Supervised are the tokens of the answers: the only ones that the loss counts.
    """

    number: int
    loss: float
    tokens: int
    supervised: int


def batches(count: int, settings: Settings) -> list[list[int]]:
    """Which of `count` examples each step sees: a fresh shuffle per epoch, fixed by the seed alone."""
    generator = torch.Generator().manual_seed(settings.seed)
    size = settings.examples_per_step
    needed = settings.steps * size
    order: list[int] = []
    while len(order) < needed:
        order += torch.randperm(count, generator=generator).tolist()
    return [order[i : i + size] for i in range(0, needed, size)]
