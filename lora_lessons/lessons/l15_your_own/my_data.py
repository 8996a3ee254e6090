"""The learner's file on its way to training: read line by line, drawn at random where it is long, split, made into tokens."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...paths import course_root
from ...tasks import Encoded, checking, encode
from ...tasks.splitting import Example, Split, draw, split

STARTERS = ("helpdesk.jsonl", "minutes.csv")
# tokens; on a processor a conversation of so many takes seconds a step
LONGEST = 512


class MyData(NamedTuple):
    """A file that can be trained on: what stands in it, what was drawn, and the two parts of that."""

    name: str
    path: Path
    # good examples in the file, and those of the drawn that are longer than LONGEST, or refused by the chat template
    of: int
    left_out: int
    split: Split
    train: list[Encoded]
    held_out: list[Encoded]

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
    file = Path(path).expanduser() if path else ours / STARTERS[0]
    if not file.exists() and file.name in STARTERS:
        file = ours / file.name
    if not file.is_file():
        raise FileNotFoundError(
            f"there is no file {file.absolute()}: write the whole path, as a file manager shows it, or {' or '.join(STARTERS)}."
        )
    return file.absolute()


def read(file: Path, tokenizer: Any, most: int, seed: int = 0) -> MyData:
    """Draw at most `most` of the good examples of `file`, split them, and make tokens of them.

    A line that cannot be read, or that the chat template refuses, is left out (`checking.check` names it). Raises
    ValueError where too few are left.
    """
    drawn = draw((one for _, one in checking.conversations(file)), most, seed)
    tokens = {id(one): made for one in drawn.examples if (made := _encoded(tokenizer, one))}
    usable = [one for one in drawn.examples if id(one) in tokens]
    try:
        parts = split(usable, seed)
    except ValueError as error:
        raise ValueError(
            f"{file.name}: {error} `lora-lessons check {file.name}` names the lines that are not used."
        ) from error
    train, held_out = ([tokens[id(one)] for one in part] for part in (parts.train, parts.held_out))
    return MyData(file.stem, file, drawn.of, len(drawn.examples) - len(usable), parts, train, held_out)


def _encoded(tokenizer: Any, example: Example) -> Encoded | None:
    """Its tokens; None where it is longer than LONGEST, or the template refuses it."""
    try:
        made = encode(tokenizer, example)
    except ValueError:
        return None
    return made if len(made.input_ids) <= LONGEST else None


def question_of(example: Example) -> str:
    """The last question of a conversation, which is what a reader is shown."""
    return str(example["messages"][-2]["content"])


def lengths(encoded: Sequence[Encoded]) -> list[int]:
    """Tokens of each example."""
    return [len(one.input_ids) for one in encoded]
