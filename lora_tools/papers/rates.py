"""The best learning rate of those that were tried, and the one between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping


def best_rate(found: Mapping[float, float], best: Callable[..., float] = min) -> float:
    """The rate of the best that was found."""
    return best(found, key=found.__getitem__)


def between(losses: Mapping[float, float]) -> float:
    """Where the loss is lowest between the rates that were tried:
    the bottom of the parabola through the best and its neighbours.

    Over the logarithm of the rate. Where the best one lacks a neighbour that ended, it is the best one itself.
    """
    at = best_rate(losses)
    below, above = _nearest(losses, lambda rate: rate < at, max), _nearest(losses, lambda rate: rate > at, min)
    if below is None or above is None:
        return at
    left, right = (math.log(rate / at) for rate in (below, above))
    falls, rises = ((losses[rate] - losses[at]) / step for rate, step in ((below, left), (above, right)))
    bend = (rises - falls) / (right - left)
    return at * math.exp((bend * left - falls) / (2 * bend)) if bend > 0 else at


def _nearest(
    losses: Mapping[float, float], side: Callable[[float], bool], pick: Callable[[Iterable[float]], float]
) -> float | None:
    return (
        pick(near) if (near := [rate for rate, loss in losses.items() if side(rate) and math.isfinite(loss)]) else None
    )
