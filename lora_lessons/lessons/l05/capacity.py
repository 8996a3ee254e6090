"""The side trip deeper/05_capacity: How much does an adapter hold?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...course.exercises import answered, exercise, one_number, tried, wrong_if, wrong_like


def bits_stored(logits: Tensor, digits: Tensor) -> Tensor:
    """The bits of a whole book beyond a blind guess: logits are entries × 7 × 10, digits entries × 7."""
    nats = logits.log_softmax(-1).gather(-1, digits[..., None])
    return (nats / math.log(2) + math.log2(10)).sum()


def _random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@exercise("05.1", "How many bits are stored?", difficulty=2, minutes=8, keeps="bits_stored")
def exercise_05_1(bits_stored: Callable[[Tensor, Tensor], Any]) -> None:
    logits = 3 * _random(5, 7, 10, seed=2)
    digits = torch.randint(10, (5, 7), generator=torch.Generator().manual_seed(3))
    got = tried(
        lambda: answered(bits_stored(logits, digits)),
        (
            (RuntimeError, IndexError),
            "",
            "PyTorch stopped ({}). gather wants an index with a last dimension: digits[..., None].",
        ),
    )
    if isinstance(got, Tensor):
        shape = f"yours has the shape {tuple(got.shape)}: add up digits and entries."
        wrong_if((got.numel() > 1, f"Return one number for the whole book; {shape}"))
    value = float(got if isinstance(got, Tensor) else one_number(got))

    def of_right(what: Tensor) -> Tensor:
        return what.gather(-1, digits[..., None])

    said, chance = of_right(logits.log_softmax(-1)).sum(), digits.numel() * math.log(10)
    nats = said + chance
    right, each = nats / math.log(2), of_right(logits.log_softmax(-1)) / math.log(2) + math.log2(10)
    wrong_like(
        value,
        (nats, "Those are nats. A bit is ln 2 = 0.693 nats: divide by math.log(2)."),
        (nats * math.log(2), "You multiplied by ln 2: a bit is less than a nat, so there are more bits. Divide."),
        (said / math.log(2) + chance, "You added log 10 in nats to bits. In bits it is math.log2(10)."),
        (-right, "The sign is turned: the likelier the right digits, the more is stored."),
        (said / math.log(2), (
            "That is what the model still lacks, with a minus. "
            "Whoever guesses blindly lacks log₂ 10 bits of every digit: add them."
        )),
        (-said / math.log(2), (
            "That is what the model still lacks. Stored is how much less that is than a blind guesser lacks: "
            "log₂ 10 bits of every digit."
        )),
        ((said - chance) / math.log(2), (
            "You subtracted what a blind guesser lacks. His log₂ p is negative, "
            "and subtracting it adds log₂ 10 for every digit."
        )),
        ((said + math.log(10)) / math.log(2), (
            "You added log₂ 10 once. A blind guesser lacks it of every digit: count them with digits.numel()."
        )),
        ((said + len(digits) * math.log(10)) / math.log(2), (
            "You added log₂ 10 once an entry. A blind guesser lacks it of every digit: count them with digits.numel()."
        )),
        (right / digits.numel(), "That is the mean of a digit: bits add up, over every digit and every entry."),
        (right / len(digits), "Those are the bits of one entry: add up the entries, too."),
        ((of_right(logits.softmax(-1)) - 0.1).sum(), (
            "You subtracted probabilities. Bits are logarithms: log_softmax first."
        )),
        ((of_right(logits).sum() + chance) / math.log(2), (
            "You took the logits as they are. log_softmax(-1) makes them log-probabilities."
        )),
        (0.0, "Below 0 is right here: this model is surer of wrong digits than a blind guesser is. Do not cut it off."),
        (each.clamp(min=0).sum(), (
            "You cut every digit off at 0. A digit of which the model is surely wrong counts below 0."
        )),
        ((logits.log_softmax(-1).amax(-1).sum() + chance) / math.log(2), (
            "You took the likeliest digit in each place. Take the right one: gather with digits[..., None]."
        )),
        ((of_right(logits.log_softmax(1)).sum() + chance) / math.log(2), (
            "Your probabilities add up to 1 over the places of a number. They should over the ten digits: "
            "log_softmax(-1)."
        )),
        ((of_right(logits.log_softmax(0)).sum() + chance) / math.log(2), (
            "Your probabilities add up to 1 over the entries. They should over the ten digits: log_softmax(-1)."
        )),
        ((logits.argmax(-1) == digits).sum(), (
            "You counted the digits that are right. A digit that became likelier counts as well, "
            "even if another is still ahead."
        )),
        rtol=1e-4,
    )  # fmt: skip
    wrong_if(
        (
            not math.isclose(value, float(right), rel_tol=1e-4),
            f"Of this book {float(right):.2f} bits are stored; you gave {value:.2f}. log₂ p of each right digit, plus "
            "log₂ 10, all added up.",
        )
    )
    blind = float(bits_stored(torch.zeros(3, 7, 10), torch.arange(21).view(3, 7) % 10))
    wrong_if(
        (
            abs(blind) > 1e-3,
            "Right for five entries. Of three that a model guesses blindly 0 bits are stored, and you gave "
            f"{blind:.2f}: use the shapes as given.",
        )
    )
