"""The training loop: batch → loss on the answers' tokens → backward → AdamW moves what is trainable.

Below it stands what it asks: what gets a gradient, and what a forward pass leaves in memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..tasks import IGNORED, Encoded
from .losses import losses, micro_batches
from .processes import ALONE, Alone, whole
from .settings import Settings, TrainingStopped, set_rate


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
    the scaler does nothing: read `loss.backward()` and `optimizer.step()`. A batch may go through the model part by
    part: each adds its share of the loss and of the gradients. Where several `ranks` train, each loss is what this one
    adds to the batch's; FSDP averages their gradients, and we want the sum, hence `ranks.count`. Raises TrainingStopped
    when the loss is not finite, or a matrix gets no gradient.
    """
    learned = trainable(model)
    loss_of = losses(model, settings, ranks)
    for number, chosen in enumerate(batches(len(examples), settings)[first:], start=first):
        # each step has its own randomness, so that a resumed run repeats it
        torch.manual_seed(settings.seed * 1_000_003 + number)
        batch = [examples[i] for i in chosen]
        step_loss = torch.zeros(())
        optimizer.zero_grad()
        for part, share in micro_batches(batch, settings.batch_size):
            loss = loss_of(part) * share
            step_loss = step_loss + ranks.total(loss.detach())
            check_loss(step_loss, number, settings.learning_rate)
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
        yield Step(number, step_loss.item(), sum(len(one.input_ids) for one in batch), supervised)


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


# How PEFT's adapters name their matrices, behind the layer's own name.
PARTS = re.compile(r"\.(?:lora|vera|hada|lokr)_")


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of `model` that require a gradient, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def check_loss(loss: Tensor, step: int, learning_rate: float) -> None:
    """Raise TrainingStopped when `loss`, a single number, is infinite or not a number."""
    if torch.isfinite(loss):
        return
    raise TrainingStopped(
        f"the loss became {loss.item()} at step {step}: lower the learning rate (now {learning_rate:g}; "
        "try a third), check that every example has supervised tokens, or train in fp32."
    )


def check_gradients(learned: dict[str, nn.Parameter]) -> None:
    """Raise TrainingStopped unless every matrix that must have a gradient has one after the first backward.

    Where a matrix is 0, as B is at step 0, those that it is multiplied by rightly have none; it must have one itself,
    and so must everything else that learns.
    """
    zero = {name for name, p in learned.items() if not whole(p.detach()).any()}
    wait_for = {PARTS.split(name)[0] for name in zero if PARTS.search(name)}
    silent = []
    for name, parameter in learned.items():
        waits = name not in zero and PARTS.split(name)[0] in wait_for
        if not waits and (parameter.grad is None or not whole(parameter.grad).any()):
            silent.append(name)
    if silent:
        named = ", ".join(silent[:4]) + (f" and {len(silent) - 4} more" if len(silent) > 4 else "")
        raise TrainingStopped(
            f"{len(silent)} of {len(learned)} trainable matrices got no gradient: {named}. Something between them and "
            "the loss cuts the graph: a quantized layer that ran before training, checkpointing without input "
            "gradients, a detach(), or a layer that the forward pass never calls. The loss could still fall a little, "
            "and the adapter would be poor."
        )


def loss_scaler(model: nn.Module, device: torch.device, state: dict[str, float]) -> torch.amp.GradScaler:
    """A scaler that multiplies the loss by a large number, and takes it out of the gradients before the step.

    The number adapts itself: a step whose gradients overflow is left out, and the next one scales less. Idle in bf16
    and fp32. `state` is what an interrupted run had come to; {} starts at 4096. Raises ValueError where a parameter
    that learns is itself in fp16: a step is often smaller than the gap between two of its numbers.
    """
    if learns := [name for name, p in model.named_parameters() if p.requires_grad and p.dtype == torch.float16]:
        raise ValueError(
            f"{learns[0]} would learn in fp16, where small steps are lost: turn the base to fp16 first and attach the "
            "adapters then, which keeps them in fp32, or take bf16."
        )
    half = any(p.dtype == torch.float16 for p in model.parameters())
    scaler = torch.amp.GradScaler(device.type, init_scale=2.0**12, enabled=half)
    if half and state:
        scaler.load_state_dict(state)
    return scaler


@contextmanager
def checkpointing(model: Any) -> Iterator[None]:
    """Gradient checkpointing while the block runs: of each transformer block only the input is kept for backward.

    One more forward pass (a third more time) for activations that no longer grow with the depth. Not reentrant, so
    that adapters get gradients although the embeddings' output asks for none.
    """
    # the second names are those of transformers before 5.20
    on = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    off = getattr(model, "activation_checkpointing_disable", None) or model.gradient_checkpointing_disable
    on({"use_reentrant": False})
    try:
        with no_cache(model):
            yield
    finally:
        off()


@contextmanager
def no_cache(model: Any) -> Iterator[None]:
    """No cache of keys and values while the block runs.

    Training never reads one, and only without one does transformers tell the conversations of a packed row apart.
    """
    config: Any = getattr(model, "config", None)
    used = getattr(config, "use_cache", False)
    if used:
        config.use_cache = False
    try:
        yield
    finally:
        if used:
            config.use_cache = True
