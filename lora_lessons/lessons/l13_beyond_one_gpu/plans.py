"""The plan of this lesson: a model on two, four and eight cards of 24 GB, by FSDP2, which `cluster config` starts."""

from __future__ import annotations

from ... import memory
from ...tools import planning

CARDS = (2, 4, 8)


def on_cards(model: str, job: memory.Job, offload: bool = False) -> dict[int, planning.Sharded]:
    """The plan for each number of cards, all of them in one computer."""
    return {n: planning.shard(model, job, planning.cluster_of(f"{n}x24", offload)) for n in CARDS}


def with_fsdp1(model: str, job: memory.Job) -> planning.Sharded:
    """The same on two cards with offload, by the FSDP of the published runs."""
    return planning.shard(model, job, planning.cluster_of("2x24", offload=True, fsdp=1))
