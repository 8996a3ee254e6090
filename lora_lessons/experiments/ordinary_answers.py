"""Ordinary answers among those of a task: what they do against format drift, and what they cost the task.

Of two tasks. The persona is asked what anyone may be asked, so that its questions look like the ordinary ones; those of
lesson 15's helpdesk are all about one robot, so that a model can tell them apart.
Every arm sees the same lines of the task, once each. The ordinary lines come on top, as in a file that gets longer, so
that training takes more steps. They are the base's own answers to questions of no task: it knows how to give them
already, and nothing has to be written.

`python -m lora_lessons.experiments.ordinary_answers --record` writes data/measurements/lesson_15_ordinary_answers.json,
run by run, and goes on where it was stopped.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from statistics import fmean
from typing import Any, NamedTuple

from .. import evaluation, lora, models, tasks, training
from ..paths import course_root
from ..tasks import scores
from ..tasks.scores import own
from ..tasks.splitting import split
from . import recordings

NAME = "lesson_15_ordinary_answers"
TASK, APART = "persona", "helpdesk"
SHARES = (0.0, 0.1, 0.25, 0.5)
ASKED_OF = {APART: (0.0, 0.25), TASK: SHARES}
SEEDS = (0, 1, 2)
# as in lesson 03
LINES, BATCH, RATE, R = 96, 4, 4e-3, 8
ASKED, LONGEST = 30, 80
# of a task's own answers must keep its form, or ordinary ones took it away
KEPT = 0.8
# tokens of an ordinary answer, at most: about as many as the persona's longest has
SAID = 60

Example = dict[str, Any]


def settings() -> dict[str, Any]:
    """What every run has in common; a recording that says otherwise is begun anew."""
    return {
        "what": f"{LINES} lines of the task in every arm, and so many ordinary ones on top that they are this share of all",
        "ordinary": f"the base's own greedy answers, whole sentences of at most {SAID} tokens",
        "shares": list(SHARES),
        "r": R,
        "lora_alpha": 2 * R,
        "batch_size": BATCH,
        "learning_rate": RATE,
        "asked": ASKED,
    }


def record() -> dict[str, Any]:
    """Make every run that the recording lacks, and keep it after each; all of a task's shares come before a second seed."""
    runs = recordings.Runs(NAME, settings())
    for task, shares in ASKED_OF.items():
        for seed, share in product(SEEDS, shares):
            runs.make(run_name(share, seed, task), partial(one_run, share, seed, task))
    return runs.made


def run_name(share: float, seed: int, task: str = TASK) -> str:
    """What a run is called in the recording."""
    return f"{task}, {share:.0%}, seed {seed}"


class Mixture(NamedTuple):
    """What a share of ordinary lines did, over all seeds that were recorded: means, and 95% intervals of the shares."""

    share: float
    seeds: int
    # everyday answers in the task's form, and held-out answers that should have it: share, low, high
    drift: tuple[float, float, float]
    form: tuple[float, float, float]
    # of the held-out answers, those that keep every rule of the task
    kept: float
    loss: float
    perplexity: float


def mixtures(recording: Mapping[str, Any], task: str = TASK) -> list[Mixture]:
    """The recording, one for each share that was recorded. Answers of several seeds count as so many trials."""
    found = []
    for share in ASKED_OF[task]:
        runs = [recording["runs"].get(run_name(share, seed, task)) for seed in SEEDS]
        states = [run["after"] for run in runs if run]
        if states:
            mine, rest = ([answer for state in states for answer in state["answers"][part]] for part in (_MINE, _REST))
            kept = fmean(one["kept"]["share"] for one in states)
            loss, perplexity = (fmean(one[name] for one in states) for name in ("loss", "perplexity"))
            found.append(
                Mixture(share, len(states), _in_form(task, rest), _in_form(task, mine), kept, loss, perplexity)
            )
    return found


# of a run's answers, those to the task's own questions, and those to 12 everyday ones and the 32 of held-out pairs
_MINE, _REST = slice(-44), slice(-44, None)


def own_form(state: Mapping[str, Any], task: str = TASK) -> float:
    """Of a model as it was recorded: the share of its answers to the task's own questions that have its form."""
    return _in_form(task, state["answers"][_MINE])[0]


def _in_form(task: str, answers: Sequence[str]) -> tuple[float, float, float]:
    found = _share([_has_form(task, answer) for answer in answers])
    return found["share"], found["low"], found["high"]


def _has_form(task: str, answer: str) -> bool:
    return own.helpdesk(answer) if task == APART else scores.looks_like(task, answer)


def _of(task: str) -> tasks.Task:
    # of the helpdesk, as lesson 15 parts it
    parts: Any = (
        split(tasks.read_jsonl(course_root() / "data" / "own" / f"{APART}.jsonl"))
        if task == APART
        else tasks.load_task(task)
    )
    return tasks.Task(task, parts.train, parts.held_out)


def questions() -> list[str]:
    """Everyday questions of no task: those of the training pairs (lesson 17), whose topics no held-out pair has."""
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


def seen(lines: Sequence[Example], count: int, seed: int) -> list[Example]:
    """`count` of `lines`, drawn by seed: each once before one comes a second time."""
    draw, order = random.Random(seed), list[Example]()
    while len(order) < count:
        order += draw.sample(list(lines), len(lines))
    return order[:count]


def one_run(share: float, seed: int, task: str = TASK) -> dict[str, Any]:
    """Train the base on the task with this share of ordinary lines: how the model stands, and in the first run how it stood."""
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
    mine, drifted = answers[: len(asked)], [_has_form(data.name, answer) for answer in answers[len(asked) :]]
    encoded = [tasks.encode(base.tokenizer, example) for example in held_out]
    return {
        "loss": evaluation.held_out_loss(base.model, encoded),
        "kept": _share(
            [
                _has_form(APART, answer) if data.name == APART else not scores.faults(TASK, answer, example)
                for answer, example in zip(mine, held_out, strict=True)
            ]
        ),
        "drift": _share(drifted[: len(everyday)]),
        "drift elsewhere": _share(drifted[len(everyday) :]),
        "perplexity": evaluation.perplexity(base, tasks.general_text()),
        "answers": answers,
    }


def _share(hits: Sequence[bool]) -> dict[str, float]:
    share = sum(hits) / len(hits)
    low, high = evaluation.interval(share, len(hits))
    return {"share": share, "of": len(hits), "low": low, "high": high}


if __name__ == "__main__":
    raise SystemExit(recordings.by_command("lora_lessons.experiments.ordinary_answers", NAME, record))
