"""The learner's file on its way to training: read line by line, drawn at random where it is long, split, made into tokens."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from ...outside import in_line
from ...paths import course_root, expanded
from ...tasks import Encoded, encode
from ...tasks.splitting import Example, Split, draw, split
from ...tools import checking
from ...tools.checking.tokens import limit_of
from .planning import COURSES, LONGEST, Choices

STARTERS = ("helpdesk.jsonl", "minutes.csv")


class MyData(NamedTuple):
    """A file that can be trained on: what stands in it, what was drawn, and the two parts of that."""

    name: str
    path: Path
    # good examples in the file, and those of the drawn that have more tokens than `longest`, or that the template refuses
    of: int
    left_out: int
    split: Split
    train: list[Encoded]
    held_out: list[Encoded]
    longest: int = LONGEST

    @property
    def adapter_name(self) -> str:
        """What an adapter trained on it is called: the file's name, in letters that every program takes."""
        return re.sub(r"[^A-Za-z0-9_]+", "-", self.name).strip("-") or "own"

    @property
    def adapter_place(self) -> str | Path:
        """For `my_folder`: beside the learner's file where that can be; for the course's own, with the learner's progress."""
        if self.is_ours or not os.access(self.path.parent, os.W_OK):
            return f"adapters/{self.adapter_name}"
        return self.path.with_name(f"{self.adapter_name}-adapter")

    @property
    def is_ours(self) -> bool:
        """Whether it is one of the course's, which stand in data/own/."""
        return self.path.parent == course_root() / "data" / "own"


def find(path: str) -> Path:
    """The file that a learner means; one of the course's by its name, or for "" the first. Raises FileNotFoundError."""
    ours = course_root() / "data" / "own"
    file = expanded(path) if path else ours / STARTERS[0]
    if not file.exists() and file.name in STARTERS:
        file = ours / file.name
    if not file.is_file():
        raise FileNotFoundError(
            f"there is no file {file.absolute()}: write the whole path, as a file manager shows it, or {' or '.join(STARTERS)}."
        )
    return file.absolute()


def read(file: Path, tokenizer: Any, most: int, seed: int = 0, chosen: Choices = COURSES) -> MyData:
    """Draw at most `most` of the good examples of `file`, split them, and make tokens of them.

    A line that cannot be read, that is longer than `chosen` or the model allow, or that the chat template refuses, is
    left out (`checking.check` names it). Raises ValueError where too few are left.
    """
    longest = limit_of(tokenizer, chosen.max_tokens) or chosen.max_tokens
    drawn = draw((one for _, one in checking.conversations(file)), most, seed)
    made = {id(one): _encoded(tokenizer, one, chosen) for one in drawn.examples}
    tokens = {key: one for key, one in made.items() if one and len(one.input_ids) <= longest}
    usable = [one for one in drawn.examples if id(one) in tokens]
    try:
        parts = split(usable, seed)
    except ValueError as error:
        long = sum(bool(one) for one in made.values()) - len(usable)
        mend = (
            "give a larger max_tokens" if longest == chosen.max_tokens else "the model takes no more, so shorten them"
        )
        said = f"{long} are longer than {longest} tokens: {mend}. " if long else ""
        raise ValueError(
            f"{in_line(file.name)}: {error} {said}`lora-lessons check {in_line(quote(file.name))}` names the lines that are not used."
        ) from error
    train, held_out = ([tokens[id(one)] for one in part] for part in (parts.train, parts.held_out))
    return MyData(file.stem, file, drawn.of, len(drawn.examples) - len(usable), parts, train, held_out, longest)


def _encoded(tokenizer: Any, example: Example, chosen: Choices) -> Encoded | None:
    """Its tokens; None where the template refuses it."""
    try:
        return encode(tokenizer, example, last_only=chosen.last_answer_only)
    except ValueError:
        return None


def question_of(example: Example) -> str:
    """The last question of a conversation, which is what a reader is shown."""
    return str(example["messages"][-2]["content"])


def lengths(encoded: Sequence[Encoded]) -> list[int]:
    """Tokens of each example."""
    return [len(one.input_ids) for one in encoded]
