"""Before anything is trained: what a step holds in memory, how many minutes all of it takes here, and what to change.

Both are said in the terminal, too, when `lora-lessons run 11` comes to them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lora_lessons import lora, memory, models, preferences, tasks, training
from lora_lessons.course.lesson import Beforehand
from lora_lessons.machine import machine
from lora_lessons.tasks import Encoded, Preference
from lora_lessons.training import Settings
from lora_lessons.training.losses import losses

from .my_data import MyData, Place, R, question_of, rows_of
from .scoring import EVERYDAY, LONGEST, LOOKS, asked, hearing, line_losses

# of each answer on trial, in tokens
WORDS = 8


def in_four_bits(base: models.Base) -> bool:
    """Whether the base's weights are in 4 bits, on a card or on a processor, whose layers are of another class."""
    return any(hasattr(weight, "quant_state") for weight in base.model.parameters())


def bill(base: models.Base, how: Settings, texts: Sequence[Encoded | Preference]) -> float:
    """Bytes at the fullest moment of all steps over `texts`, as the ledger predicts them (lesson 07).

    A pair counts as two texts in one rectangle, since both wait for the backward pass: that is a little too much.
    """
    job = memory.Job(
        "qlora" if in_four_bits(base) else "lora",
        r=next((layer.r for _, layer in lora.lora_layers(base.model)), R),
        seq=1,
        batch_size=len(rows_of(texts[0])) * how.batch_size,
        gradient_accumulation_steps=how.gradient_accumulation_steps,
        gradient_checkpointing=how.gradient_checkpointing,
        dtype={torch.float32: "fp32", torch.float16: "fp16"}.get(base.model.dtype, "bf16"),
        autocast=how.autocast,
        fast=how.fast,
        optimizer=how.optimizer,
    )
    steps = [[row for i in chosen for row in rows_of(texts[i])] for chosen in training.batches(len(texts), how)]
    return memory.predict_texts(base.model.config, job, steps, base.model.device.type == "cuda").bill.total


class Times(NamedTuple):
    """Seconds that this machine takes for a step, for one look at all held-out lines,
    and at most for all answers once."""

    step: float
    look: float
    answers: float


def times(base: models.Base, data: MyData, how: Settings) -> Times:
    """A step, a look and some words of the answers on trial: with a fresh adapter, nothing is learned by it."""
    step = seconds_a_step(base.model, data.taught, how)
    rows = [row for one in data.held_out for row in rows_of(one)]
    few = rows[: how.batch_size]
    look = _seconds(base.model, lambda: line_losses(base.model, few, how.autocast)) * len(rows) / len(few)
    questions = [*map(question_of, asked(data)), *tasks.everyday_questions()[:EVERYDAY]]
    first, some = (_seconds(base.model, partial(models.answers, base, questions, n)) for n in (1, 1 + WORDS))
    answers = first + max(0.0, some - first) * (LONGEST - 1) / WORDS
    return Times(step, look + answers * (hearing(base, data)[1] is not None), answers)


def seconds_a_step(model: Any, examples: Sequence[Any], how: Settings) -> float:
    """How long one step takes here: one that is not counted first, because the first waits for the memory it gets."""
    batch = list(examples[: how.batch_size])
    of_pairs = bool(batch) and isinstance(batch[0], Preference)
    loss_of = (lambda part: _apart(model, part, how.autocast)) if of_pairs else losses(model, how)

    def step() -> None:
        for _ in range(how.gradient_accumulation_steps):
            loss_of(batch).backward()

    was_training = model.training
    model.train()
    with training.checkpointing(model) if how.gradient_checkpointing else training.no_cache(model):
        for _ in range(2):
            taken = _seconds(model, step)
    model.train(was_training)
    model.zero_grad()
    return taken


def _apart(model: Any, pairs: Sequence[Preference], autocast: bool) -> Tensor:
    """What takes as long as DPO's loss: how far both answers of the pairs are apart."""
    chosen, rejected = preferences.of_pairs(model, pairs, autocast)
    return (rejected - chosen).mean()


def _seconds(model: Any, work: Callable[[], object]) -> float:
    begun = _now(model)
    work()
    return _now(model) - begun


def _now(model: Any) -> float:
    """The clock, when the model's card has done all that it was given: a card works while Python goes on."""
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    return time.perf_counter()


def plan(how: Settings, examples: int, bill: float, where: Place, here: Times) -> Beforehand:
    """The plan: steps, passes, memory, minutes."""
    passes = how.steps * how.examples_per_step / examples
    fits = "fits" if bill <= where.room else f"does NOT fit: {lighter(how)}"
    several = how.gradient_accumulation_steps > 1
    at_once = f", {how.batch_size} at a time" * several
    trains, looks, answers = (how.steps * here.step / 60, (LOOKS + 1) * here.look / 60, 2 * here.answers / 60)
    return Beforehand(
        [
            (
                f"{how.steps} steps of {how.examples_per_step} lines{at_once}: each line is seen {passes:.1f} times, "
                f"at a learning rate of {how.learning_rate:g}."
            ),
            f"By the memory ledger (lesson 07), a training step needs at most {bill / memory.GB:.1f} GB, besides "
            f"Python and its libraries; {where.words} has {where.room / memory.GB:.1f} GB free for it: it {fits}.",
            f"It takes about {trains + looks + answers:.1f} minutes on {machine()}: {trains:.1f} to train "
            f"({here.step:.1f} s a step), {looks:.1f} to look at the held-out lines, and at most {answers:.1f} to "
            "answer. The export comes on top.",
        ]
    )


def lighter(how: Settings) -> str:
    """Which parameters to change where a step needs more memory than there is, the mildest first."""
    changes = [] if how.gradient_checkpointing else ["gradient_checkpointing = True (slower, the same result)"]
    if how.batch_size > 1:
        changes.append(
            f"batch_size = 1 with gradient_accumulation_steps = {how.examples_per_step} (slower, the same result)"
        )
    changes += ["a smaller max_tokens (longer lines are left out)", 'precision = "nf4", or a smaller model']
    return f"set {', then '.join(changes)}"
