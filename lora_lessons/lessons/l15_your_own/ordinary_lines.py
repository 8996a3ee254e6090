"""Ordinary answers among the learner's lines, against format drift: a file of them, or what the base itself says today.

How many it takes, and what they cost, is recorded: see `experiments.ordinary_answers`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from ... import models
from ...drawing import BLUE, VERMILION, label
from ...experiments import ordinary_answers
from ...outside import in_line
from ...paths import expanded
from ...tasks.preferences import is_pair
from ...tools import checking
from .my_data import Choices, MyData, encoded, lengths


def mixed_in(data: MyData, base: models.Base, chosen: Choices, seed: int = 0) -> MyData:
    """`data` with the ordinary lines that `chosen` asks for; they train, and are never held out. Says how many.

    They are so many that they make up `ordinary_share` of the lines that train, or as many as there are. With
    `ordinary_path` and no share it is all of that file. Raises ValueError for preferences, or a file without good lines.
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
    """What was recorded of ordinary lines, with the persona: the picture, what it shows, and the numbers."""
    return picture(ordinary_answers.mixtures(ordinary_answers.recorded()))


def picture(arms: Sequence[ordinary_answers.Mixture]) -> tuple[Figure, str, str]:
    """How often the form comes unasked, and how often where it should, at each share of ordinary lines."""
    figure = Figure(figsize=(7.2, 3.3))
    ax = figure.subplots()
    at = range(len(arms))
    for name, color, shares, beside in (
        ("where it should", BLUE, [arm.form for arm in arms], (-112, -12)),
        ("unasked", VERMILION, [arm.drift for arm in arms], (12, 6)),
    ):
        share, low, high = zip(*shares, strict=True)
        middle = [100 * one for one in share]
        below, above = ([100 * abs(a - b) for a, b in zip(share, end, strict=True)] for end in (low, high))
        ax.errorbar(at, middle, yerr=[below, above], fmt="o-", color=color, capsize=4)
        label(ax, at[1], middle[1], name, color, xytext=beside)
    ax.set(xlim=(-0.3, len(arms) - 0.7), ylim=(0, 104), ylabel="% of answers in the form")
    ax.set_xticks(at, [f"{arm.share:.0%}" for arm in arms])
    ax.set_xlabel("ordinary lines, of all that train (the persona, recorded)")
    lost = arms[-1].form[2] < arms[0].form[1]
    ax.set_title(
        f"With ordinary lines the form {'went, asked for or not' if lost else 'stayed where it was asked for'}"
    )
    finding = f"Ordinary lines {_each(arms, 'share')}: everyday answers in the form {_each(arms, 'drift')}, held-out ones {_each(arms, 'form')}."
    numbers = (
        "Everyday questions are the course's and those of lesson 17's held-out pairs, together. "
        f"Held-out answers that keep every rule: {_each(arms, 'kept')}. Held-out loss: {_each(arms, 'loss')} nats per token. "
        f"Perplexity on general text: {_each(arms, 'perplexity')}. Seeds: {_each(arms, 'seeds')}."
    )
    return figure, finding, numbers


_FORMATS = {"loss": ".2f", "perplexity": ".1f", "seeds": "d"}


def _each(arms: Sequence[ordinary_answers.Mixture], name: str) -> str:
    values = (getattr(arm, name) for arm in arms)
    return ", ".join(format(v[0] if isinstance(v, tuple) else v, _FORMATS.get(name, ".0%")) for v in values)
