"""The learner's file on its way to training: read line by line, drawn at random where it is long, split, made into tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...paths import course_root
from ...tasks import Encoded, checking, encode
from ...tasks.splitting import MOST_HELD_OUT, Example, Split, draw, split

STARTERS = ("helpdesk.jsonl", "minutes.csv")
# tokens; on a processor a conversation of so many takes seconds a step
LONGEST = 512


class MyData(NamedTuple):
    """A file that can be trained on: what stands in it, what was drawn, and the two parts of that."""

    name: str
    path: Path
    # good examples in the file, and those of the drawn that are longer than LONGEST
    of: int
    too_long: int
    split: Split
    train: list[Encoded]
    held_out: list[Encoded]

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

    A line that cannot be read is left out (`checking.check` names it). Raises ValueError where too few are left.
    """
    drawn = draw((one for _, one in checking.conversations(file)), most, seed)
    short = [(one, encode(tokenizer, one)) for one in drawn.examples]
    tokens = {id(one): made for one, made in short if len(made.input_ids) <= LONGEST}
    parts = split([one for one, _ in short if id(one) in tokens], seed)
    train, held_out = ([tokens[id(one)] for one in part] for part in (parts.train, parts.held_out))
    return MyData(file.stem, file, drawn.of, len(short) - len(tokens), parts, train, held_out)


def question_of(example: Example) -> str:
    """The last question of a conversation, which is what a reader is shown."""
    return str(example["messages"][-2]["content"])


def most_examples(steps: int, batch_size: int) -> int:
    """So many examples are drawn: each of those trained on is seen once at least."""
    return steps * batch_size + MOST_HELD_OUT


def sha256(file: Path) -> str:
    """The hash of a file, which says whether it is the same without saying what is in it."""
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def lengths(encoded: Sequence[Encoded]) -> list[int]:
    """Tokens of each example."""
    return [len(one.input_ids) for one in encoded]
