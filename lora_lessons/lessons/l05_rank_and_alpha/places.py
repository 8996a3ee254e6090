"""Where the scale lab writes each measured rank, so that no two numbers stand on each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import log2

from .measured import Tried

STEP = 0.28  # doublings of the push between two numbers that stand side by side


def losses_shown(every: Sequence[Tried]) -> tuple[float, float]:
    """The lowest loss, and the highest that still gets a place of its own: a few very bad runs must not squeeze the rest."""
    losses = sorted(m.loss.mean for m in every)
    return losses[0], min(losses[-1], losses[0] + 2 * (losses[3 * len(losses) // 4] - losses[0]) + 0.01)


def side_by_side(every: Sequence[Tried], high: float, tall: float) -> dict[Tried, tuple[float, float]]:
    """(push, loss) for each setting; settings of one push stand side by side around it, the lowest rank on the left.

    What lies above `high` stands there. A whole push moves a little aside where one of its numbers would meet another's;
    a number takes STEP doublings of the push, and `tall` nats. Losses are never moved.
    """
    by_push: dict[float, list[Tried]] = defaultdict(list)
    for m in every:
        by_push[m.push].append(m)
    placed: dict[Tried, tuple[float, float]] = {}
    for push, column in sorted(by_push.items(), key=lambda item: (-len(item[1]), item[0])):
        ranks = sorted({m.r for m in column})
        for aside in _offsets():
            spots = {
                m: (log2(push) + STEP * (ranks.index(m.r) - (len(ranks) - 1) / 2 + aside), min(m.loss.mean, high))
                for m in column
            }
            if not any(_meet(a, b, tall) for a in spots.values() for b in placed.values()):
                break
        placed |= spots
    return {m: (2**x, y) for m, (x, y) in placed.items()}


def _offsets() -> Iterator[float]:
    """0, then a little to either side, at most two numbers' widths: farther away a number would tell another push."""
    yield 0.0
    for n in range(1, 9):
        yield from (n / 4, -n / 4)


def _meet(a: tuple[float, float], b: tuple[float, float], tall: float) -> bool:
    return abs(a[0] - b[0]) < 0.95 * STEP and abs(a[1] - b[1]) < tall
