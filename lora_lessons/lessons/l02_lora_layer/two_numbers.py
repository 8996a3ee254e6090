"""LoRA with two numbers: one frozen weight w, and an update b·a beside it.

h = (w + b·a)·x. The data want the weight 2 and w is 1, so the loss is L = (w + b·a − 2)², zero wherever b·a = 1.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np

Numbers = TypeVar("Numbers", float, np.ndarray)

FROZEN, WANTED = 1.0, 2.0
LEARNING_RATE, STEPS = 0.05, 60


class Descent(NamedTuple):
    """Where gradient descent went: `a`, `b` and the loss before the first step and after each."""

    a: list[float]
    b: list[float]
    loss: list[float]


def loss(a: Numbers, b: Numbers) -> Numbers:
    """L = (w + b·a − wanted)² for the input x = 1; of arrays, entry by entry."""
    return (FROZEN + b * a - WANTED) ** 2


def gradients(a: float, b: float) -> tuple[float, float]:
    """∂L/∂a and ∂L/∂b. Each is multiplied by the other number."""
    off = FROZEN + b * a - WANTED
    return 2 * off * b, 2 * off * a


def descend(a: float, b: float, steps: int = STEPS, learning_rate: float = LEARNING_RATE) -> Descent:
    """Plain gradient descent from (a, b)."""
    path = [(a, b)]
    for _ in range(steps):
        da, db = gradients(a, b)
        a, b = a - learning_rate * da, b - learning_rate * db
        path.append((a, b))
    return Descent([a for a, _ in path], [b for _, b in path], [loss(*at) for at in path])


def story(descent: Descent) -> str:
    """What happened on the way, in two or three sentences."""
    return _story(descent).replace("-", "−")


def _story(descent: Descent) -> str:
    a, b = descent.a[0], descent.b[0]
    da, db = gradients(a, b)
    steps, end = len(descent.a) - 1, descent.b[-1] * descent.a[-1]
    begin = f"Start a = {a:.3g}, b = {b:.3g}: ∂L/∂a = {_shown(da)}, ∂L/∂b = {_shown(db)}."
    if not da and not db and end:
        return f"{begin} The start is already in the valley: b·a = 1."
    if not da and not db:
        return f"{begin} Both gradients are zero, so nothing ever moves: the loss is {descent.loss[-1]:.2f} for good."
    first = "" if da and db else f" Only {'b' if db else 'a'} moves in the first step."
    if descent.loss[-1] < 0.01:
        arrived = next(step for step, one in enumerate(descent.loss) if one < 0.01)
        return f"{begin}{first} The path reaches the valley: b·a = {end:.2f}, and the loss is below 0.01 after step {arrived}."
    if a == -b:
        return f"{begin}{first} On the line b = −a both shrink together, and the path ends in the saddle: loss {descent.loss[-1]:.2f}."
    return f"{begin}{first} After {steps} steps it is still on its way: b·a = {end:.2f}, loss {descent.loss[-1]:.2f}."


def _shown(gradient: float) -> str:
    return f"{gradient:.2f}" if gradient else "0"
