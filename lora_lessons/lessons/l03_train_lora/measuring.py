"""What lesson 03 measures three times: the held-out loss, one answer, and answers that nobody asked WICK for.

For its side trip: how much of one update's strongest directions lies among another's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from ... import evaluation, lowrank, models, tasks
from ...tasks import scores

ASKED = 8  # held-out questions whose answers are judged by the rules, and as many everyday ones
LONGEST = 60  # tokens of an answer
READ = 1500  # characters of the general text


class Measured(NamedTuple):
    """A model as it stands: its score, its answer to the question, and its answers to everyday questions."""

    score: evaluation.Score
    answer: str
    everyday: dict[str, str]


def measure(
    base: models.Base, task: tasks.Task, held_out: Sequence[tasks.Encoded], question: str, autocast: bool = False
) -> Measured:
    """Score `base` as it is now, adapters included: every question goes through the model in one batch."""
    drawn, everyday = evaluation.drawn(task, ASKED), tasks.everyday_questions()[:ASKED]
    prompts = [question, *(example["messages"][-2]["content"] for example in drawn), *everyday]
    answer, *replies = models.answers(base, prompts, LONGEST, batch_size=len(prompts))
    kept = [not scores.faults(task.name, one, example) for one, example in zip(replies, drawn, strict=False)]
    unasked = dict(zip(everyday, replies[len(drawn) :], strict=True))
    drift = [scores.looks_like(task.name, one) for one in unasked.values()]
    score = evaluation.Score(
        loss=evaluation.held_out_loss(base.model, held_out, autocast=autocast),
        kept=sum(kept) / len(kept),
        general=evaluation.perplexity(base, tasks.general_text()[:READ]),
        drift=sum(drift) / len(drift),
    )
    return Measured(score, answer, unasked)


TOP = 8  # directions of the other update that are looked among

Parts = Mapping[str, lowrank.SVD]  # of one update's ΔW, by layer


def cut(changes: Mapping[str, Tensor]) -> dict[str, lowrank.SVD]:
    """The directions of each ΔW, strongest first."""
    return {name: lowrank.svd(change.cpu()) for name, change in changes.items()}


def overlap(mine: Parts, other: Parts, side: str) -> list[float]:
    """Mean φ over layers of my top i directions with the other's top 8, for i = 1 … 8.

    `side` is "written", the directions of ΔW's output (B's side), or "read", those of its input (A's side).
    """

    def rows(parts: lowrank.SVD) -> Tensor:
        return parts.U.T if side == "written" else parts.Vh

    pairs = [(rows(mine[name]), rows(other[name])) for name in mine]
    return [
        sum(lowrank.subspace_overlap(a[:i], b[:TOP], i, TOP) for a, b in pairs) / len(pairs) for i in range(1, TOP + 1)
    ]
