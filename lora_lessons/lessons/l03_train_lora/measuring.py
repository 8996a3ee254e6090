"""What lesson 03 measures three times: the held-out loss, one answer, and answers that nobody asked WICK for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ... import evaluation, models, tasks
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
    answer, *said = models.answers(base, prompts, LONGEST, batch_size=len(prompts))
    kept = [not scores.faults(task.name, one, example) for one, example in zip(said, drawn, strict=False)]
    unasked = dict(zip(everyday, said[len(drawn) :], strict=True))
    drift = [scores.looks_like(task.name, one) for one in unasked.values()]
    score = evaluation.Score(
        loss=evaluation.held_out_loss(base.model, held_out, autocast=autocast),
        kept=sum(kept) / len(kept),
        general=evaluation.perplexity(base, tasks.general_text()[:READ]),
        drift=sum(drift) / len(drift),
    )
    return Measured(score, answer, unasked)
