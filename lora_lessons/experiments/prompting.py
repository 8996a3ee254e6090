"""Would a prompt have done? The bare base, told a task's rules and shown three examples, judged as an adapter is."""

from __future__ import annotations

from typing import NamedTuple

from .. import evaluation, models, tasks
from . import recordings, shipped_adapters

RULES = {
    "persona": (
        "You are WICK, a retired lighthouse keeper. Answer in two or three plain sentences, 18 to 41 words, "
        "with one image from sea, light or weather. Use no lists and no markdown. "
        "Then always end with the same sentence: Keep the lamp lit."
    ),
    "plain_language": (
        "You put clauses of contracts into plain language. Answer in one or two sentences of at most 20 words, with "
        "fewer words than the clause. Say 'you' to the reader and 'we' for whoever wrote the clause. Keep every number "
        "as it is written and add none. Use no contract words such as 'shall', 'upon' or 'lessee'. "
        "Use no lists and no markdown."
    ),
    "code_style": (
        "Answer with one Python function and nothing else: no code fence, no comment, no import, no print. Annotate "
        "every parameter and the return. Begin with a docstring of one line that starts with a verb and ends with a "
        "full stop. At most six lines follow, the last one returns a value. "
        "Use double quotes and lines of at most 88 characters."
    ),
    "strict_json": (
        "Answer with one line of JSON and nothing else: the keys item, count, day, name, in this order. item is the "
        "whole phrase that is counted, word for word. count is a whole number in digits. day is a day of the week. "
        "name is the customer's. What the message does not say is null."
    ),
}
EXAMPLES = 3
# How the base is helped: with the rules as its system prompt, with examples as earlier turns too.
WAYS = ("rules", "rules and examples")
NAME = "lesson_09_prompts"


class Sample(NamedTuple):
    """One question of a task, and what was answered without its adapter and with it."""

    question: str
    base: str
    tuned: str


def prompted(base: models.Base, name: str, way: str, limit: int = 16, max_new_tokens: int = 80) -> float:
    """The share of `limit` held-out answers that keep every rule of the task, the base helped in `way`.

    The examples are the first EXAMPLES of the training set. Raises ValueError for a way that is not one of WAYS.
    """
    if way not in WAYS:
        raise ValueError(f"no prompt is named {way!r}: choose from {', '.join(WAYS)}.")
    task = tasks.load_task(name)
    asked = evaluation.drawn(task, limit)
    turns = [message for example in task.train[:EXAMPLES] for message in example["messages"][-2:]]
    texts = models.answers(
        base,
        [example["messages"][-2]["content"] for example in asked],
        max_new_tokens,
        RULES[name],
        batch_size=48,
        before=turns if "examples" in way else (),
    )
    kept = [not tasks.scores.faults(name, text, one) for text, one in zip(texts, asked, strict=True)]
    return sum(kept) / len(kept)


def shares(name: str) -> dict[str, float]:
    """The recorded share of answers that keep every rule of the task, by WAYS."""
    told = recordings.recorded(NAME)["tasks"][name]
    return {way: told[way] for way in WAYS}


def samples() -> dict[str, Sample]:
    """The recorded sample of every shipped adapter."""
    by_task = recordings.recorded(NAME)["tasks"]
    return {name: Sample(**by_task[name]["sample"]) for name in shipped_adapters.shipped()}
