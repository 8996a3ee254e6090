"""Whether a sweep's trials fit here, and how many may be trained at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator

from lora_lessons import memory
from lora_lessons.experiments.sweep import BASES, Trial
from lora_lessons.machine import free_bytes, memory_bytes

from ..bench.ledger import BASE, BASE_NAME
from ..cluster.ray import Share

TOKENS = 256  # more than the longest conversation of the course's tasks
# Up to here the lessons go themselves: it fits wherever the base does, and no ledger is asked.
USUAL_R, USUAL_BATCH = 64, 8
# Bytes. At r = 64 with 8 examples a run was seen to hold 3.3 GB, and the process that watches it 0.4 GB.
RUN_BYTES = 4.0e9
BESIDE_BYTES = (
    2.0e9  # bytes that a run holds beside its ledger's bill: libraries, the untouched weights, the process that watches
)


def check_room(trials: Iterable[Trial]) -> None:
    """Raise ValueError, naming what to change, where the ledger says that a trial cannot be trained here."""
    here = memory_bytes()
    for trial, needed in _large(trials):
        if needed > here:
            raise ValueError(
                f"r = {trial.r} with {trial.batch_size} examples per step takes about {needed / 1e9:,.0f} GB, and this "
                f"machine has {here / 1e9:,.0f} GB: choose a smaller --batch-size, or a smaller --r."
            )


def share_out(trials: Iterable[Trial], at_once: int | None, here: bool) -> tuple[Share, int]:
    """What each of `trials` gets, and how many may be trained at once: on this machine, or wherever there is room.

    Without `at_once` that is one run a core with one thread each, or one a card where there are cards, and as many as
    the free memory holds. Threads are shared out, unless $OMP_NUM_THREADS says how many a run has. Raises ValueError
    where this machine cannot hold so many.
    """
    import torch

    needed = int(max([RUN_BYTES, *(bill + BESIDE_BYTES for _, bill in _large(trials))]))
    cores, cards, given = os.cpu_count() or 1, torch.cuda.device_count(), os.environ.get("OMP_NUM_THREADS", "")
    threads = int(given) if given.isdecimal() and int(given) else max(1, cores // (at_once or cores))
    if not here:
        return Share(threads, needed, min(cards, 1)), at_once or sys.maxsize
    most, why = (
        (cards, f"{cards} cards, one a run")
        if cards
        else (memory_bytes() // needed, f"room for {memory_bytes() // needed}")
    )
    if at_once and at_once > max(1, most):
        raise ValueError(f"--at-once {at_once}: this machine has {why}. Choose a smaller number, or leave it out.")
    slots = at_once or max(1, min(cards or cores // threads, free_bytes() // needed))
    return Share(threads, needed, min(cards, 1)), slots


def _large(trials: Iterable[Trial]) -> Iterator[tuple[Trial, float]]:
    """Those of `trials` that go beyond the lessons, one of each kind, with the bytes that the ledger says they take."""
    unlike = [t for t in trials if t.r > USUAL_R or t.batch_size > USUAL_BATCH or t.target_modules != "all-linear"]
    if not unlike:
        return
    from transformers import AutoConfig

    shape = memory.shape_of(AutoConfig.for_model(**BASE))._replace(name=BASE_NAME)
    for trial in {(t.r, t.target_modules, t.batch_size, t.base_format != BASES[0]): t for t in unlike}.values():
        targets = trial.target_modules
        job = memory.Job(
            "lora" if trial.base_format == BASES[0] else "qlora",
            r=trial.r,
            target_modules=targets if targets == "all-linear" else tuple(targets.split(",")),
            seq=TOKENS,
            batch_size=trial.batch_size,
            dtype="fp32",
            layer="peft",  # which the sweep's notebook puts on, so that every run trains the plain way
            gradient_checkpointing=False,
        )
        yield trial, memory.predict(shape, job, card=False).bill.total
