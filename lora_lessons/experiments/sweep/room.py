"""Before a sweep begins: can each trial's adapter be put on the base, and does its training fit into this machine?"""

from __future__ import annotations

from collections.abc import Iterable

from ... import memory
from ...machine import memory_bytes
from ..ledger import BASE, BASE_NAME
from .trials import BASES, Trial

TOKENS = 256  # more than the longest conversation of the course's tasks
# Up to here the lessons go themselves: it fits wherever the base does, and no ledger is asked.
R, BATCH_SIZE = 64, 8


def check(trials: Iterable[Trial]) -> None:
    """Raise ValueError, naming what to change, where the ledger says that a trial cannot be trained here."""
    unlike = [t for t in trials if t.r > R or t.batch_size > BATCH_SIZE or t.target_modules != "all-linear"]
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
            gradient_checkpointing=False,
        )
        needed, here = memory.predict(shape, job, card=False).bill.total, memory_bytes()
        if needed > here:
            raise ValueError(
                f"r = {trial.r} with {trial.batch_size} examples per step takes about {needed / 1e9:,.0f} GB, and this "
                f"machine has {here / 1e9:,.0f} GB: choose a smaller --batch-size, or a smaller --r."
            )
