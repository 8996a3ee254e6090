"""The phone book: invented names, seven random digits each,
so that what is learned was nowhere before and can be counted.

Mabo Teltrin: 4071926

Nothing tells one digit from the others, so an entry is worth 7·log₂10 = 23.3 bits, and no rule makes it shorter.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

DIGITS = 7
# What one entry is worth.
BITS = DIGITS * math.log2(10)

_FIRST, _VOWELS, _LAST = (
    ["b", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z"],
    "aeiou",
    ["", "l", "m", "n", "r", "s", "t"],
)


class Entry(NamedTuple):
    """A line of the book."""

    name: str
    number: str  # seven digits; the first may be a 0


class Book(NamedTuple):
    """Entries as tokens: input_ids (N × longest), padded on the right; at (N × 7), where each digit is predicted; and
    digits (N × 7), 0 … 9. `ten` (10,) are the tokens of the digits.
    """

    input_ids: Tensor
    at: Tensor
    digits: Tensor
    ten: Tensor


def invented(count: int) -> list[Entry]:
    """The first `count` entries of the book: no name comes twice, and a longer book begins as a shorter one."""
    draw = random.Random(0)
    numbers: dict[str, str] = {}
    while len(numbers) < count:
        name = f"{_word(draw)} {_word(draw)}"
        number = "".join(draw.choices("0123456789", k=DIGITS))
        numbers.setdefault(name, number)
    return [Entry(*both) for both in numbers.items()]


def _word(draw: random.Random) -> str:
    """Two syllables of our own making, such as Teltrin."""
    return "".join(draw.choice(_FIRST) + draw.choice(_VOWELS) + draw.choice(_LAST) for _ in range(2)).capitalize()


def as_tokens(tokenizer: Any, entries: Sequence[Entry]) -> Book:
    """The entries as the base reads them. Raises ValueError where its tokens are not single digits."""
    texts = [f"{name}: {number}" for name, number in entries]
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    ten = [one[-1] for one in tokenizer([f"{_WHOLE}{d}" for d in range(10)], add_special_tokens=False)["input_ids"]]
    place = {token: digit for digit, token in enumerate(ten)}
    for (_, number), one in zip(entries, ids, strict=True):
        if [place.get(token) for token in one[-DIGITS:]] != [int(digit) for digit in number]:
            raise ValueError(
                "this tokenizer writes several digits as one token, and the phone book counts bits digit by digit: "
                "take a base that writes each alone, such as embedded."
            )
    longest = max(map(len, ids))
    padded = torch.tensor([one + one[-1:] * (longest - len(one)) for one in ids])
    # a digit is predicted at the token before it
    at = torch.tensor([range(len(one) - DIGITS - 1, len(one) - 1) for one in ids])
    return Book(padded, at, torch.tensor([[int(d) for d in number] for _, number in entries]), torch.tensor(ten))


_WHOLE = "Mabo Teltrin: 407192"
