"""The next rate of a search on a ladder of rates: up or down from where it begins,
until both neighbours of the best are worse.

So no arm loses because another one's rate was given to it,
and the search costs three runs where its first guess is right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lora_tools.papers.rates import best_rate


def next_rate(
    found: Mapping[float, float],
    ladder: Sequence[float],
    first: float,
    best: Callable[..., float] = min,
    steps: Sequence[int] = (1, -1),
) -> float | None:
    """The rate to try next; None when the best one has no neighbour on the ladder that was not tried.

    `found` is what was measured at each rate; `best` is min for a loss, max for a score. A run that stopped counts as
    inf. `steps` are the neighbours that are tried: (-1,) goes down alone.
    """
    if not found:
        return first
    at = ladder.index(best_rate(found, best))
    near = [ladder[at + step] for step in steps if 0 <= at + step < len(ladder)]
    return next((rate for rate in near if rate not in found), None)
