"""Ordinary answers among those of a task, trained at several shares: what they do against format drift,
and what they cost.

`python -m workshop record ordinary` writes data/measurements/lesson_11_ordinary_answers.json, run by run,
and goes on where it was stopped.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import Any

from lora_lessons import evaluation, lora, models, tasks, training
from lora_lessons.paths import course_root
from lora_lessons.tasks import scores
from lora_lessons.tasks.splitting import split
from lora_tools.own.ordinary_answers import (
    APART,
    ASKED_OF,
    NAME,
    SAID,
    SEEDS,
    SHARES,
    TASK,
    Example,
    has_form,
    on_top,
    ordinary,
    questions,
    run_name,
    share_of,
)
from workshop.record.runs import Runs

# as in lesson 03
LINES, BATCH, RATE, R = 96, 4, 4e-3, 8
ASKED, LONGEST = 30, 80


def settings() -> dict[str, Any]:
    """What every run has in common; a recording that says otherwise is begun anew."""
    return {
        "what": (
            f"{LINES} lines of the task in every arm, and so many ordinary ones on top that they are this share of all"
        ),
        "ordinary": f"the base's own greedy answers, whole sentences of at most {SAID} tokens",
        "shares": list(SHARES),
        "r": R,
        "lora_alpha": 2 * R,
        "batch_size": BATCH,
        "learning_rate": RATE,
        "asked": ASKED,
    }


def record() -> dict[str, Any]:
    """Make every run that the recording lacks, and keep it after each;
    all of a task's shares come before a second seed."""
    runs = Runs(NAME, settings())
    for task, shares in ASKED_OF.items():
        for seed, share in product(SEEDS, shares):
            runs.make(run_name(share, seed, task), partial(one_run, share, seed, task))
    return runs.made


def _of(task: str) -> tasks.Task:
    # of the helpdesk, as lesson 11 parts it
    parts: Any = (
        split(tasks.read_jsonl(course_root() / "data" / "own" / f"{APART}.jsonl"))
        if task == APART
        else tasks.load_task(task)
    )
    return tasks.Task(task, parts.train, parts.held_out)


def seen(lines: Sequence[Example], count: int, seed: int) -> list[Example]:
    """`count` of `lines`, drawn by seed: each once before one comes a second time."""
    draw, order = random.Random(seed), list[Example]()
    while len(order) < count:
        order += draw.sample(list(lines), len(lines))
    return order[:count]


def one_run(share: float, seed: int, task: str = TASK) -> dict[str, Any]:
    """Train the base on the task with this share of ordinary lines: how the model stands,
    and in the first run how it stood."""
    base, data = models.load(precision="fp32"), _of(task)
    examples = seen(data.train, LINES, seed)
    examples += seen(ordinary(base, questions()), BATCH * round(on_top(LINES, share) / BATCH), seed) if share else []
    how = training.Settings(
        steps=len(examples) // BATCH,
        batch_size=BATCH,
        learning_rate=RATE,
        seed=seed,
        autocast=models.best_precision().name == "bf16",
        optimizer="adamw_fused",
    )
    before = _state(base, data) if (share, seed) == (SHARES[0], SEEDS[0]) else None
    lora.attach(base.model, R, 2 * R, seed=seed)
    encoded = [tasks.encode(base.tokenizer, one) for one in examples]
    run = training.train(base.model, encoded, how)
    taught = [sum(int((one.labels != tasks.IGNORED).sum()) for one in part) for part in (encoded[LINES:], encoded)]
    return {
        "share": 1 - LINES / len(examples),
        "of the tokens": taught[0] / taught[1],
        "seed": seed,
        "steps": how.steps,
        "losses": run.losses,
        "seconds": run.seconds,
        "before": before,
        "after": _state(base, data),
    }


def _state(base: models.Base, data: tasks.Task) -> dict[str, Any]:
    """How the model stands: loss, answers that keep the rules, everyday answers in the task's form, perplexity.

    `drift` counts the house's everyday questions; `drift elsewhere` those of the held-out pairs. Each share has its 95%
    interval.
    """
    held_out, everyday = evaluation.drawn(data, ASKED), tasks.everyday_questions()
    elsewhere = [pair["prompt"] for pair in tasks.load_pairs().held_out]
    asked = [example["messages"][-2]["content"] for example in held_out]
    answers = models.answers(base, [*asked, *everyday, *elsewhere], LONGEST, batch_size=48)
    mine, drifted = answers[: len(asked)], [has_form(data.name, answer) for answer in answers[len(asked) :]]
    encoded = [tasks.encode(base.tokenizer, example) for example in held_out]
    return {
        "loss": evaluation.held_out_loss(base.model, encoded),
        "kept": share_of(
            [
                has_form(APART, answer) if data.name == APART else not scores.faults(TASK, answer, example)
                for answer, example in zip(mine, held_out, strict=True)
            ]
        ),
        "drift": share_of(drifted[: len(everyday)]),
        "drift elsewhere": share_of(drifted[len(everyday) :]),
        "perplexity": evaluation.perplexity(base, tasks.general_text()),
        "answers": answers,
    }
