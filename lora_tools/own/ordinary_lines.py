"""Ordinary answers among the learner's lines, against format drift: a file of them, or what the base itself says today.

How many it takes, and what they cost, is recorded: see `ordinary_answers`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from lora_lessons import models
from lora_lessons.drawing import BLUE, VERMILION, label
from lora_lessons.experiments import recordings
from lora_lessons.outside import in_line
from lora_lessons.paths import expanded
from lora_lessons.tasks.preferences import is_pair

from .. import checking
from . import ordinary_answers
from .my_data import Choices, MyData, encoded, lengths


def mixed_in(data: MyData, base: models.Base, chosen: Choices, seed: int = 0) -> MyData:
    """`data` with the ordinary lines that `chosen` asks for; they train, and are never held out. Says how many.

    They are so many that they make up `ordinary_share` of the lines that train, or as many as there are. With
    `ordinary_path` and no share it is all of that file. Raises ValueError for preferences,
    or a file without good lines.
    """
    if not chosen.ordinary_share and not chosen.ordinary_path:
        return data
    if data.of_pairs:
        raise ValueError(
            "ordinary answers are mixed into answers, and these lines are preferences: leave ordinary_… out."
        )
    wanted = ordinary_answers.on_top(len(data.train), chosen.ordinary_share) if chosen.ordinary_share else None
    if chosen.ordinary_path:
        whose, lines = f"from {in_line(expanded(chosen.ordinary_path).name)}", _of_file(chosen.ordinary_path)
    else:
        whose = "the base's own answers to everyday questions of the course"
        asked = ordinary_answers.questions()
        lines = ordinary_answers.ordinary(base, random.Random(seed).sample(asked, min(wanted or 0, len(asked))))
    made = [
        one for line in lines if (one := encoded(base.tokenizer, line, chosen)) and lengths([one])[0] <= data.longest
    ]
    if not made:
        raise ValueError(f"no ordinary line could be used ({whose}): `lora-lessons check` says why of a file.")
    taken = random.Random(seed).sample(made, min(len(made), wanted or len(made)))
    share = len(taken) / (len(taken) + len(data.train))
    few = f"; {wanted} were asked for, so give a longer ordinary_path" if len(taken) < (wanted or 0) else ""
    print(f"{len(taken)} ordinary lines train as well, {share:.0%} of all: {whose}{few}.")
    return data._replace(ordinary=taken)


def _of_file(path: str) -> list[Any]:
    lines = [one for _, one in checking.conversations(expanded(path))]
    if any(map(is_pair, lines)):
        raise ValueError(
            f"{in_line(expanded(path).name)} holds preferences: give ordinary questions with one answer each."
        )
    return lines


def recorded() -> tuple[Figure, str, str]:
    """What was recorded of ordinary lines, with two tasks: the picture, what it shows, and the numbers."""
    kept = recordings.recorded(ordinary_answers.NAME)
    return picture({task: ordinary_answers.mixtures(kept, task) for task in ordinary_answers.ASKED_OF})


def picture(tasks: Mapping[str, Sequence[ordinary_answers.Mixture]]) -> tuple[Figure, str, str]:
    """How often each task's form comes unasked, and how often where it should, at each share of ordinary lines."""
    figure = Figure(figsize=(7.2, 3.3), layout="constrained")
    panels = figure.subplots(
        1, len(tasks), sharey=True, squeeze=False, width_ratios=[1 + len(arms) for arms in tasks.values()]
    )[0]
    for ax, (task, arms) in zip(panels, tasks.items(), strict=True):
        at = range(len(arms))
        for name, color, shares in (
            ("where it should", BLUE, [arm.form for arm in arms]),
            ("unasked", VERMILION, [arm.drift for arm in arms]),
        ):
            share, low, high = zip(*shares, strict=True)
            middle = [100 * one for one in share]
            below, above = ([100 * abs(a - b) for a, b in zip(share, end, strict=True)] for end in (low, high))
            ax.errorbar(at, middle, yerr=[below, above], fmt="o-", color=color, capsize=4)
            if ax is panels[0]:
                label(ax, at[-1], middle[-1], name, color, xytext=(10, 0))
        ax.set(xlim=(-0.3, len(arms) - 0.7 + 1.4 * (ax is panels[0])), ylim=(0, 104))
        ax.set_xticks(at, [f"{arm.share:.0%}" for arm in arms])
        lost = arms[-1].form[0] < ordinary_answers.KEPT * arms[0].form[0]
        ax.set_title(f"The {task}'s form\n{'went, asked for or not' if lost else 'stayed where it should'}")
    panels[0].set(ylabel="% of answers in the form", xlabel="ordinary lines, of all")
    finding = " ".join(
        f"Ordinary lines {_each(arms, 'share')} beside the {task}'s: everyday answers in its form "
        f"{_each(arms, 'drift')}, held-out ones {_each(arms, 'form')}."
        for task, arms in tasks.items()
    )
    numbers = "Everyday questions are the course's and those of lesson 17's held-out pairs, together." + "".join(
        f" The {task}: held-out answers that keep every rule {_each(arms, 'kept')}; held-out loss "
        f"{_each(arms, 'loss')} nats per token; perplexity on general text {_each(arms, 'perplexity')}; "
        f"seeds {_each(arms, 'seeds')}."
        for task, arms in tasks.items()
    )
    return figure, finding, numbers


_FORMATS = {"loss": ".2f", "perplexity": ".1f", "seeds": "d"}


def _each(arms: Sequence[ordinary_answers.Mixture], name: str) -> str:
    values = (getattr(arm, name) for arm in arms)
    return ", ".join(format(v[0] if isinstance(v, tuple) else v, _FORMATS.get(name, ".0%")) for v in values)
