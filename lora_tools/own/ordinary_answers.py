"""Ordinary answers among those of a task: what they do against format drift, and what they cost the task.

Of two tasks. The persona is asked what anyone may be asked, so that its questions look like the ordinary ones; those of
lesson 11's helpdesk are all about one robot, so that a model can tell them apart.
Every arm sees the same lines of the task, once each. The ordinary lines come on top, as in a file that gets longer, so
that training takes more steps. They are the base's own answers to questions of no task: it knows how to give them
already, and nothing has to be written.

`python -m workshop record ordinary` makes the recording that is read here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lora_lessons import evaluation, models, tasks
from lora_lessons.tasks import scores
from lora_lessons.tasks.scores import own

NAME = "lesson_11_ordinary_answers"
TASK, APART = "persona", "helpdesk"
SHARES = (0.0, 0.1, 0.25, 0.5)
ASKED_OF = {APART: (0.0, 0.25), TASK: SHARES}
SEEDS = (0, 1, 2)
# of a task's own answers must keep its form, or ordinary ones took it away
KEPT = 0.8
# tokens of an ordinary answer, at most: about as many as the persona's longest has
SAID = 60

Example = dict[str, Any]


def run_name(share: float, seed: int, task: str = TASK) -> str:
    """What a run is called in the recording."""
    return f"{task}, {share:.0%}, seed {seed}"


# of a run's answers, those to the task's own questions; then come 12 everyday ones and the 32 of held-out pairs
_MINE = slice(-44)


def own_form(state: Mapping[str, Any], task: str = TASK) -> float:
    """Of a model as it was recorded: the share of its answers to the task's own questions that have its form."""
    return share_of([has_form(task, answer) for answer in state["answers"][_MINE]])["share"]


def has_form(task: str, answer: str) -> bool:
    """Whether an answer has the form of a task, wanted or not."""
    return own.helpdesk(answer) if task == APART else scores.looks_like(task, answer)


def questions() -> list[str]:
    """Everyday questions of no task: those of the training pairs (lesson 13), whose topics no held-out pair has."""
    return [pair["prompt"] for pair in tasks.load_pairs().train]


def ordinary(base: models.Base, asked: Sequence[str]) -> list[Example]:
    """Conversations that teach the model nothing new: what it answers now to each of `asked`, in whole sentences.

    A question is left out where not one sentence was finished within SAID tokens.
    """
    cut = "\0"
    chats = []
    for question, answer in zip(asked, models.answers(base, asked, SAID, batch_size=24, cut=cut), strict=True):
        whole = answer if cut not in answer else "".join(re.findall(r"^.*[.!?](?=\s)", answer, re.DOTALL))
        if whole:
            chats.append(tasks.as_chat(question, whole))
    return chats


def on_top(lines: int, share: float) -> int:
    """How many ordinary lines make up `share` of all, when `lines` of the task stand beside them."""
    return round(lines * share / (1 - share))


def share_of(hits: Sequence[bool]) -> dict[str, float]:
    """The share of hits, with its 95% interval."""
    share = sum(hits) / len(hits)
    low, high = evaluation.interval(share, len(hits))
    return {"share": share, "of": len(hits), "low": low, "high": high}
