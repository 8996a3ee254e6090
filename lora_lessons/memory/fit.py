"""Does it fit, and if not, what then? The longest text that does, and the mildest changes that make it fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from .bill import GB
from .job import LONGEST, Job, Shape, shape_of
from .prediction import Ledger, check, ledgers, predict


class Change(NamedTuple):
    """A change to a job, in words, and the bytes that the job takes with it (and all changes before)."""

    what: str
    job: Job
    total: float


class Plan(NamedTuple):
    """A job's ledger beside a card's room; `changes` leads to a job that fits, as far as there is one."""

    name: str
    job: Job
    ledger: Ledger
    room: float  # bytes
    longest: int  # tokens in the longest sequence that fits, all else as in the job; 0: none
    made_for: int | None  # tokens that the model was made for
    changes: list[Change]

    @property
    def fits(self) -> bool:
        return self.ledger.bill.total <= self.room


def plan(model: Any, job: Job, room: float) -> Plan:
    """Whether `job` fits into `room` bytes, the longest sequence that does, and what to change first if not.

    Raises as `predict` does.
    """
    shape = shape_of(model)
    ledger = predict(shape, job)
    made_for = check(shape, job).made_for
    changes = [] if ledger.bill.total <= room else _changes(shape, job, room, ledger.bill.total)
    return Plan(shape.name, job, ledger, room, longest(shape, job, room), made_for, changes)


def longest(model: Any, job: Job, room: float) -> int:
    """Tokens of the longest sequence with which `job` stays within `room` bytes; 0 when not even one token does."""
    low, high = 0, LONGEST + 1  # fits, does not
    while high - low > 1:
        spread = np.unique(np.geomspace(max(low, 1), high, 66).astype(int)).tolist()
        between = [n for n in spread if low < n < high] or [(low + high) // 2]
        fit = [ledger.bill.total <= room for ledger in ledgers(model, job, between)]
        low = max([low, *(n for n, yes in zip(between, fit, strict=True) if yes)])
        high = min([high, *(n for n, yes in zip(between, fit, strict=True) if not yes)])
    return low


def _changes(shape: Shape, job: Job, room: float, total: float) -> list[Change]:
    """The mildest single change that makes the job fit; else several, mildest first; a shorter text is the last resort."""

    def cost(job: Job) -> float:
        try:
            return predict(shape, job).bill.total
        except ValueError:  # a model that adapters of this rank do not fit: no change to advise
            return float("inf")

    def shorter(job: Job) -> list[Change]:
        tokens = longest(shape, job, room)
        made = replace(job, seq=tokens) if tokens else job
        return [Change(f"sequences of at most {tokens:,} tokens", made, cost(made))] if tokens else []

    for what, fields in _options(job):
        changed = replace(job, **fields)
        if (now := cost(changed)) <= room:
            return [Change(what, changed, now)]
    taken: list[tuple[str, dict[str, Any]]] = []
    best = job
    while total > room:
        helpful = ((w, f) for w, f in _options(best) if _worth_it(cost(replace(best, **f)), total, room))
        if not (step := next(helpful, None)):
            break
        taken.append(step)
        best = replace(best, **step[1])
        total = cost(best)
    for step in list(taken):  # what a later step made needless is not asked for
        rest = [other for other in taken if other is not step]
        if cost(_with(job, rest)) <= room:
            taken = rest
    changes = [
        Change(w, _with(job, taken[: n + 1]), cost(_with(job, taken[: n + 1]))) for n, (w, _) in enumerate(taken)
    ]
    return changes if total <= room else changes + shorter(best)


def _worth_it(now: float, before: float, room: float) -> bool:
    """Whether a step from `before` to `now` bytes is worth its price: it saves what a reader of the plan sees, or is the last."""
    return now <= room or now < min(0.99 * before, before - 0.1 * GB)


def _with(job: Job, steps: Sequence[tuple[str, dict[str, Any]]]) -> Job:
    for _, fields in steps:
        job = replace(job, **fields)
    return job


def _options(job: Job) -> Iterator[tuple[str, dict[str, Any]]]:
    """Changes that save memory, in words and as fields of the job, the mildest first."""
    half = "bf16" if job.dtype == "fp32" else job.dtype
    if not job.gradient_checkpointing:
        yield "checkpointing (each block is computed twice: slower, the same result)", {"gradient_checkpointing": True}
    if job.batch_size > 1:
        one_by_one = {"batch_size": 1, "gradient_accumulation_steps": job.examples_per_step}
        yield "one sequence at a time, gradients summed over several", one_by_one
    if job.optimizer in ("adamw", "adamw_fused", "paged_adamw"):
        yield "AdamW's moments in 8 bits and in pageable memory (paged_adamw_8bit)", {"optimizer": "paged_adamw_8bit"}
    if job.recipe == "hf" and job.method == "qlora":
        fields = {"recipe": "course", "layer": "ours"}  # PEFT's layers and the fused AdamW were hf's own
        if job.optimizer == "adamw_fused":
            fields["optimizer"] = "adamw"
        yield "embeddings, head and norms left in 16 bits, and no autocast (recipe course)", fields
    if job.method == "full":
        yield "LoRA: the base is frozen, adapters alone train", {"method": "lora", "dtype": half}
    if job.method != "qlora":
        yield "QLoRA: the base is frozen in NF4", {"method": "qlora", "dtype": half}
    if job.method != "full" and job.r > 8:
        yield "rank 8", {"r": 8}
