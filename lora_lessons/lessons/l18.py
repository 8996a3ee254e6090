"""Lesson 18: How much does an adapter hold?

After it, the learner can count what an adapter stores in bits, and cut one to a smaller rank.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..course.exercises import answered, exercise, not_a_number
from ..errors import first_line
from ..lowrank import factors, relative_error, svd_of_product


def _random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- 18.1 ----


@exercise("18.1", "How many bits are stored?", difficulty=2, minutes=8)
def exercise_18_1(bits_stored: Callable[[Tensor, Tensor], Any]) -> str | None:
    logits = 3 * _random(5, 7, 10, seed=2)
    digits = torch.randint(10, (5, 7), generator=torch.Generator().manual_seed(3))
    try:
        got = answered(bits_stored(logits, digits))
    except (RuntimeError, IndexError) as error:
        return f"PyTorch stopped ({first_line(error)}). gather wants an index with a last dimension: digits[..., None]."
    if isinstance(got, Tensor) and got.numel() > 1:
        return (
            f"Return one number for the whole book; yours has the shape {tuple(got.shape)}: add up digits and entries."
        )
    if not isinstance(got, Tensor) and (problem := not_a_number(got)):
        return problem

    def of_right(what: Tensor) -> Tensor:
        return what.gather(-1, digits[..., None])

    said, chance = of_right(logits.log_softmax(-1)).sum(), digits.numel() * math.log(10)
    nats, value = said + chance, float(got)
    right, each = nats / math.log(2), of_right(logits.log_softmax(-1)) / math.log(2) + math.log2(10)
    wrong: list[tuple[Tensor | float, str]] = [
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
    ]  # fmt: skip
    if _close(value, right):
        return _other_book(bits_stored)
    for number, why in wrong:
        if _close(value, number):
            return why
    return (
        f"Of this book {float(right):.2f} bits are stored; you gave {value:.2f}. log₂ p of each right digit, plus log₂ "
        "10, all added up."
    )


def _close(value: float, number: Tensor | float) -> bool:
    return math.isclose(value, float(number), rel_tol=1e-4, abs_tol=1e-5)


def _other_book(bits_stored: Callable[[Tensor, Tensor], Any]) -> str | None:
    """What is wrong with a function that is right for five entries:
    it is asked of three which the model does not know at all."""
    blind = bits_stored(torch.zeros(3, 7, 10), torch.arange(21).view(3, 7) % 10)
    if abs(float(blind)) > 1e-3:
        return (
            "Right for five entries. Of three that a model guesses blindly 0 bits are stored, and you gave "
            f"{float(blind):.2f}: use the shapes as given."
        )
    return None


# ---- 18.2 ----


class _Watched(TorchFunctionMode):
    """Notes the shape of every tensor that is made while it is on, and whether one was handed to NumPy,
    where nothing is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: set[tuple[int, ...]] = set()
        self.left = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple) else (made,):
            if isinstance(one, Tensor):
                self.shapes.add(tuple(one.shape))
            self.left |= isinstance(one, np.ndarray)
        return made


@exercise(
    "18.2", "Cut to a smaller rank", difficulty=2, minutes=12, keeps="cut", imports=(
        "import torch\nfrom torch import Tensor\n"
    )
)  # fmt: skip
def exercise_18_2(cut: Callable[[Tensor, Tensor, int], Any]) -> str | None:
    d, k, r = 30, 40, 6
    B, A = _random(d, r, seed=4), _random(r, k, seed=5) * torch.tensor([9.0, 0.2, 4.0, 1.0, 0.5, 2.0])[:, None]
    whole, parts = B @ A, svd_of_product(B, A)
    try:
        with _Watched() as watched:
            got = answered(cut(B.clone(), A.clone(), 3))
    except RuntimeError as error:
        if _SLICED.search(str(error)):
            return (
                f"PyTorch stopped ({first_line(error)}). U's directions are its columns, and Vh's its rows: keep U[:, "
                ":r], S[:r] and Vh[:r]."
            )
        return (
            f"PyTorch stopped ({first_line(error)}). torch.linalg.qr(B) gives d×r and r×r; for A take A.T, and turn "
            "the result round again."
        )
    if not (isinstance(got, Sequence) and len(got) == 2 and all(isinstance(one, Tensor) for one in got)):
        return "Return two tensors, B (d×3) and A (3×k)."
    new_B, new_A = got
    shapes = tuple(new_B.shape), tuple(new_A.shape)
    if shapes == ((3, k), (d, 3)):
        return "You returned A first: B (d×3), then A (3×k)."
    if shapes != ((d, 3), (3, k)):
        return (
            f"B should be {d}×3 and A 3×{k}; yours are {shapes[0]} and {shapes[1]}. "
            "Keep the first 3 directions of both."
        )
    if new_B.dtype != new_A.dtype:
        return (
            f"B is {new_B.dtype} and A {new_A.dtype}, and PyTorch does not multiply the two: "
            "return both in the dtype that came."
        )
    product, U, S, Vh = (new_B @ new_A).to(whole), parts.U[:, :3], parts.S[:3], parts.Vh[:3]
    wrong = [
        (B[:, :3] @ A[:3], (
            "You kept the first three rows of A and columns of B. They come in no order: turn them into directions by "
            "strength first, with an SVD."
        )),
        (U @ Vh, (
            "S is missing: every direction now counts as 1. Multiply one of the two sides by it, or both by its root."
        )),
        (U * S**2 @ Vh, "S counts twice: multiply one side by it, or both sides by its root."),
        (parts.U[:, -3:] * parts.S[-3:] @ parts.Vh[-3:], (
            "Those are the three weakest directions: S falls, so keep the first."
        )),
    ]  # fmt: skip
    best = (factors(parts, 3)[0] @ factors(parts, 3)[1]).to(whole)
    if relative_error(best, product) < 1e-4:
        return _too_large(watched, d, k) or _other_rank(cut, B, A)
    for value, why in wrong:
        if relative_error(value, product) < 1e-4:
            return why
    return (
        f"Your B·A is {relative_error(whole, product):.0%} away from the whole, and the best of rank 3 is "
        f"{relative_error(whole, best):.0%} away. B·A = Q_B·(R_B·R_Aᵀ)·Q_Aᵀ: U of the core belongs to Q_B, Vh to Q_Aᵀ."
    )


# U[:r] in place of U[:, :r], with and without S, and Vh[:, :r] in place of Vh[:r]
_SLICED = re.compile(r"30x6 and 3x6|6x3 and 6x40|tensor a \(6\) must match the size of tensor b \(3\)")


def _too_large(watched: _Watched, d: int, k: int) -> str | None:
    """What is wrong with a right cut that makes more than it needs on its way."""
    if watched.shapes & {(d, k), (k, d)}:
        return (
            f"Right, but you made the whole {d}×{k} matrix, and an SVD of that. In a real layer it is 4,096×4,096, and "
            "B·A only has r directions: QR of B and of Aᵀ, then the SVD of R_B·R_Aᵀ, which is r×r."
        )
    if square := watched.shapes & {(d, d), (k, k)}:
        n = min(square)[0]
        return (
            f"Right, but you made a matrix of {n}×{n} on the way, in a real layer 4,096×4,096. torch.linalg.svd(B) "
            "makes one unless full_matrices=False, and torch.linalg.qr(B) none."
        )
    if watched.left:
        return "Right, but in NumPy the check cannot see whether you made the d×k matrix: stay with torch."
    return None


def _other_rank(cut: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]], B: Tensor, A: Tensor) -> str | None:
    for r in (1, 5):
        best = factors(svd_of_product(B, A), r)
        new_B, new_A = cut(B.clone(), A.clone(), r)
        if new_A.shape[0] != r or relative_error(best[0] @ best[1], (new_B @ new_A).to(B)) > 1e-4:
            return f"Right for rank 3 and wrong for rank {r}: use `r` as given."
    return None


# ---- 18.3 ----


@exercise("18.3", "The same scale at another rank", difficulty=2, minutes=6)
def exercise_18_3(alpha_after: Callable[[float, int, int, bool], Any]) -> str | None:
    got = answered(alpha_after(32, 64, 16, False))
    if problem := not_a_number(got):
        return problem
    wrong = {
        8.0: None,
        32.0: "Then the scale α/r would be four times as large, and so would the update: 32/16 in place of 32/64.",
        128.0: "You divided the wrong way round: at a smaller rank, α is smaller, too.",
        16.0: "That is the root of the ratio, which is right for rsLoRA alone: its scale is α/√r.",
        0.5: "That is the scale itself, α/r. The file keeps lora_alpha: multiply by the new rank.",
    }
    plain = next((why for value, why in wrong.items() if math.isclose(got, value, rel_tol=1e-6)), "")
    if plain:
        return plain
    if plain == "":
        return f"For α = 32, cut from rank 64 to 16, the new α is 8; you gave {got:.3g}. α/r must stay 32/64."
    for before, r, new, rslora in ((16, 8, 1, False), (24, 36, 4, False), (16, 64, 16, True), (24, 36, 4, True)):
        after = alpha_after(before, r, new, rslora)
        if problem := not_a_number(after):
            return f"Right for 64 → 16 in LoRA. {'For rsLoRA' if rslora else f'For {r} → {new}'}: {problem}"
        right = before * (new / r) ** (0.5 if rslora else 1)
        if math.isclose(after, right, rel_tol=1e-6):
            continue
        if after in (math.floor(right), math.ceil(right)):
            return (
                f"From {r} to {new} α becomes {right:.2f}, and you gave {after:.0f}. It need not be whole: do not "
                "round, or the scale changes."
            )
        return (
            "Right for LoRA, wrong for rsLoRA: its scale is α/√r, so α changes by the root of the ratio."
            if rslora
            else f"Right for 64 → 16, wrong for {r} → {new}: use the ranks as given."
        )
    return None
