"""Ordinary answers among the learner's lines, against format drift: a file of them, or what the base itself says today.

How many it takes, and what they cost, is recorded: lesson 11 shows it.
"""

from __future__ import annotations

import random
from typing import Any

from lora_lessons import models
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
