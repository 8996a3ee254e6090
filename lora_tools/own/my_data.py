"""The learner's file on its way to training: read line by line, drawn at random where it is long, split,
made into tokens.

And how to train on a file of this size, before anything is trained.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

import torch

from lora_lessons import lora, memory, models, training
from lora_lessons.adapter import Adapter, attach_adapter
from lora_lessons.machine import free_bytes
from lora_lessons.outside import in_line
from lora_lessons.paths import course_root, expanded
from lora_lessons.tasks import Encoded, Preference, encode, encode_pair
from lora_lessons.tasks.preferences import is_pair
from lora_lessons.tasks.splitting import MOST_HELD_OUT, Example, Split, draw, split

from .. import checking
from ..checking.tokens import limit_of

R, ALPHA, BATCH = 8, 16, 4
# Every example about three times, but never fewer steps than teach a form, nor more than the profile has time for.
PASSES, LEAST_STEPS = 3, 24
MOST_STEPS = {"quick": 36, "full": 400}
# For the embedded base, as in lesson 03. Larger ones want a smaller rate: up to so many weights those that our 0.5B and
# 1.5B were trained at, one task each, and beyond the one of QLoRA's authors for a 7B. The borders are guesses.
RATE, RATE_OF_LARGE = 4e-3, 2e-4
RATES = {3e8: RATE, 1e9: 2e-3, 3e9: 1e-3}
# times that of answers: DPO trains the embedded base at 1e-3 in lesson 13; for larger models it is a guess, too
OF_PAIRS = 0.25
# three ordinary lines beside one of the learner's: with more it is hardly their file that is trained on
MOST_ORDINARY = 0.75
# tokens; on a processor a conversation of so many takes seconds a step
LONGEST = 512


@dataclass(frozen=True)
class Choices:
    """What the parameters cell says of the adapter, of a batch, and of which answers are learned.

    Raises ValueError, one sentence, for what cannot be.
    """

    r: int = R
    lora_alpha: float = ALPHA
    # lines that go through the model at once, and how many such batches make a step
    batch_size: int = BATCH
    gradient_accumulation_steps: int = 1
    gradient_checkpointing: bool = False
    # of a line; a longer one is left out, and counted
    max_tokens: int = LONGEST
    last_answer_only: bool = False
    # of preferences: how soon DPO is content with a margin
    beta: float = 0.1
    # ordinary lines that train as well, as a share of all lines that train; from a file, or "": the base's own answers
    ordinary_share: float = 0.0
    ordinary_path: str = ""

    def __post_init__(self) -> None:
        for name in ("r", "batch_size", "gradient_accumulation_steps", "max_tokens"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} = {value!r}: give a whole number of at least 1.")
        for name in ("gradient_checkpointing", "last_answer_only"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} = {getattr(self, name)!r}: give True or False.")
        advice = {"lora_alpha": f"{2 * self.r}, twice the rank", "beta": "0.1, as TRL has it"}
        for name, such in advice.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise ValueError(f"{name} = {value!r}: give a number above 0, such as {such}.")
        share = self.ordinary_share
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= MOST_ORDINARY:
            raise ValueError(
                f"ordinary_share = {share!r}: give a share of all lines, from 0 to {MOST_ORDINARY}, such as 0.25."
            )

    @property
    def lines_a_step(self) -> int:
        """How many lines the model has seen when AdamW moves."""
        return self.batch_size * self.gradient_accumulation_steps


COURSES = Choices()


class Place(NamedTuple):
    """Where the training runs: what it may hold, and in words."""

    room: float
    words: str


def load(model: str, precision: str) -> tuple[models.Base, bool]:
    """The frozen base, and whether it multiplies in 16 bits while its weights stay in 32 (autocast).

    `precision` "" means bf16 on a card, and on a processor what the checkpoint has, where it is fast here: 16 bits are
    never held in 32 and in 16. "nf4" is QLoRA's.
    """
    chosen = precision or ("bf16" if torch.cuda.is_available() else models.own_precision(model))
    base = models.load(model, precision=chosen)
    base.model.requires_grad_(False)
    return base, chosen == "fp32" and models.best_precision().name == "bf16"


def steps_for(examples: int, profile: str, chosen: Choices = COURSES) -> int:
    """The number of steps for so many examples to train on."""
    return min(max(LEAST_STEPS, round(PASSES * examples / chosen.lines_a_step)), MOST_STEPS[profile])


def most(profile: str, chosen: Choices = COURSES) -> int:
    """So many lines are drawn from a long file: all that the steps can see, and those that are held out."""
    return MOST_STEPS[profile] * chosen.lines_a_step + MOST_HELD_OUT


def attach(model: Any, seed: int, chosen: Choices = COURSES, start: Adapter | None = None) -> None:
    """A fresh adapter on every linear layer but the head, or `start` as it is; one that is on comes off."""
    lora.detach(model)
    if start is not None:
        attach_adapter(model, start)
    else:
        lora.attach(model, r=chosen.r, lora_alpha=chosen.lora_alpha, seed=seed)


def settings(
    base: models.Base,
    examples: int,
    profile: str,
    seed: int,
    autocast: bool,
    steps: int = 0,
    rate: float = 0.0,
    chosen: Choices = COURSES,
    of_pairs: bool = False,
    ordinary: int = 0,
) -> training.Settings:
    """How to train; `steps` and `rate` say otherwise than the size of data and model would.

    So many `ordinary` lines on top take steps of their own: the learner's are seen as often as without them.
    """
    weights = models.base_weights(base.model)
    usual = next((rate for most, rate in RATES.items() if weights <= most), RATE_OF_LARGE)
    return training.Settings(
        steps=steps or round(steps_for(examples, profile, chosen) * (1 + ordinary / examples)),
        batch_size=chosen.batch_size,
        gradient_accumulation_steps=chosen.gradient_accumulation_steps,
        gradient_checkpointing=chosen.gradient_checkpointing,
        learning_rate=rate or usual * (OF_PAIRS if of_pairs else 1),
        seed=seed,
        autocast=autocast,
        fast=not of_pairs,
        optimizer="adamw_fused",
    )


def place(base: models.Base | None = None) -> Place:
    """What training may hold of this machine's card, or of its memory where it has none: what is free,
    and `base`'s part."""
    if torch.cuda.is_available():  # PyTorch holds the base there, and the bill counts CUDA's context once more
        own = torch.cuda.memory_reserved() + memory.CONTEXT_BYTES
        return Place(torch.cuda.mem_get_info()[0] + own, torch.cuda.get_device_name())
    held = memory.held_bytes(base.model.state_dict().values()) if base else 0
    return Place(float(free_bytes() + held), "this machine's memory")


STARTERS = ("helpdesk.jsonl", "minutes.csv")


class MyData(NamedTuple):
    """A file that can be trained on: what stands in it, what was drawn, and the two parts of that."""

    name: str
    path: Path
    # good examples in the file, and those of the drawn that have more tokens than `longest`,
    # or that the template refuses
    of: int
    left_out: int
    split: Split
    # Encoded each; of preferences, Preference
    train: list[Any]
    held_out: list[Any]
    longest: int = LONGEST
    # lines of no task that train as well (see `ordinary_lines`)
    ordinary: Sequence[Encoded | Preference] = ()

    @property
    def taught(self) -> list[Any]:
        """All that training sees."""
        return [*self.train, *self.ordinary]

    @property
    def of_pairs(self) -> bool:
        """Whether its lines are preferences."""
        return isinstance(self.train[0], Preference)

    @property
    def unit(self) -> str:
        """What the loss of a line is counted in."""
        return "nats per pair" if self.of_pairs else "nats per token"

    @property
    def adapter_name(self) -> str:
        """What an adapter trained on it is called: the file's name, in letters that every program takes."""
        return re.sub(r"[^A-Za-z0-9_]+", "-", self.name).strip("-") or "own"

    @property
    def adapter_place(self) -> str | Path:
        """For `my_folder`: beside the learner's file where that can be; for the course's own,
        with the learner's progress."""
        if self.is_ours or not os.access(self.path.parent, os.W_OK):
            return f"adapters/{self.adapter_name}"
        return self.path.with_name(f"{self.adapter_name}-adapter")

    @property
    def is_ours(self) -> bool:
        """Whether it is one of the course's, which stand in data/."""
        return course_root() / "data" in self.path.parents


def find(path: str) -> Path:
    """The file that a learner means; one of the course's by its name, or for "" the first. Raises FileNotFoundError."""
    ours = course_root() / "data" / "own"
    file = expanded(path) if path else ours / STARTERS[0]
    if not file.exists() and file.name in STARTERS:
        file = ours / file.name
    if not file.is_file():
        raise FileNotFoundError(
            f"there is no file {file.absolute()}: write the whole path, as a file manager shows it, or "
            f"{' or '.join(STARTERS)}."
        )
    return file.absolute()


def read(file: Path, tokenizer: Any, most: int, seed: int = 0, chosen: Choices = COURSES) -> MyData:
    """Draw at most `most` of the good examples of `file`, split them, and make tokens of them.

    A line that cannot be read, that is longer than `chosen` or the model allow, or that the chat template refuses, is
    left out (`checking.check` names it). Raises ValueError where too few are left, or where only some are preferences.
    """
    longest = limit_of(tokenizer, chosen.max_tokens) or chosen.max_tokens
    drawn = draw((one for _, one in checking.conversations(file)), most, seed)
    if 0 < (count := sum(map(is_pair, drawn.examples))) < len(drawn.examples):
        raise ValueError(
            f"{in_line(file.name)}: {count} of {len(drawn.examples)} lines are preferences, and the others have one "
            "answer. One training takes one kind: put them into two files."
        )
    made = {id(one): encoded(tokenizer, one, chosen) for one in drawn.examples}
    tokens = {key: one for key, one in made.items() if one and lengths([one])[0] <= longest}
    usable = [one for one in drawn.examples if id(one) in tokens]
    try:
        parts = split(usable, seed)
    except ValueError as error:
        long = sum(bool(one) for one in made.values()) - len(usable)
        mend = (
            "give a larger max_tokens" if longest == chosen.max_tokens else "the model takes no more, so shorten them"
        )
        too_long = f"{long} are longer than {longest} tokens: {mend}. " if long else ""
        raise ValueError(
            f"{in_line(file.name)}: {error} {too_long}`lora-lessons check {in_line(quote(file.name))}` names the "
            "lines that are not used."
        ) from error
    train, held_out = ([tokens[id(one)] for one in part] for part in (parts.train, parts.held_out))
    return MyData(file.stem, file, drawn.of, len(drawn.examples) - len(usable), parts, train, held_out, longest)


def encoded(tokenizer: Any, example: Example, chosen: Choices) -> Encoded | Preference | None:
    """Its tokens; None where the template refuses it."""
    try:
        if is_pair(example):
            return encode_pair(tokenizer, example)
        return encode(tokenizer, example, last_only=chosen.last_answer_only)
    except ValueError:
        return None


def question_of(example: Example) -> str:
    """The last question of a conversation, which is what a reader is shown."""
    return str(example["messages"][-2]["content"])


def rows_of(encoded: Encoded | Preference) -> tuple[Encoded, ...]:
    """What an example puts through the model: itself, or a pair's two conversations."""
    return tuple(encoded) if isinstance(encoded, Preference) else (encoded,)


def lengths(encoded: Sequence[Encoded | Preference]) -> list[int]:
    """Tokens of each example; of a pair, those of the longer conversation."""
    return [max(len(row.input_ids) for row in rows_of(one)) for one in encoded]
