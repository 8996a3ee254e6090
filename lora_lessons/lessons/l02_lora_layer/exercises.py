"""Exercises 02.2 and 02.3: what trains, counted, and three layers with three ailments (02.1 is in check_my_lora.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from ... import lora
from ...course.exercises import answered, exercise, not_a_number

Count = Callable[[Sequence[tuple[int, int]], int], int]


@exercise("02.2", "What trains, counted", difficulty=1, minutes=6)
def exercise_02_2(answer: Count) -> str | None:
    value = answered(answer([(5, 3)], 2))
    if advice := not_a_number(value):
        return advice
    mistakes = {
        2
        * 5
        * 3: "You multiplied r, d and k. A and B are two separate matrices, so add their sizes: B is d×r and A is r×k.",
        5 * 3: "You counted W itself (d·k). W is frozen, so only A and B train.",
        5 * 3 + 2 * (5 + 3): "You counted W as well. It is frozen, so leave d·k out.",
        5 + 3: "d + k is right for r = 1. Each of the r directions needs that many numbers.",
        2 * 5: "That is B (d×r) alone. A (r×k) trains too.",
        2 * 3: "That is A (r×k) alone. B (d×r) trains too.",
        2 * 2 * 5: "That is 2·r·d, right only where d = k. This layer is 5×3.",
        2 * 2 * 3: "That is 2·r·k, right only where d = k. This layer is 5×3.",
    }
    if value in mistakes:
        return mistakes[value]
    if value != 16:
        return f"One layer with d = 5, k = 3, r = 2 holds B (5×2) and A (2×3), so 16 numbers; you have {value}."
    shapes = [(5, 3), (4, 6), (2, 9)]
    several = answer(shapes, 2)
    if several == 16:
        return "One layer is right. For several shapes you returned the first one's count; add up all of them."
    if several == 3 * 16:
        return "You took the first layer's count three times. Layers differ in shape, so count each one."
    if several != 58:
        return f"One layer is right; for (5, 3), (4, 6), (2, 9) at r = 2 expect 58, not {several}."
    if (wider := answer(shapes, 3)) == 58:
        return "Your count does not change with r: use `r` as given, not 2."
    return None if wider == 87 else f"r = 2 is right; the same three layers at r = 3 hold 87, not {wider}."


@exercise("02.3", "Three layers, three mistakes", difficulty=2, minutes=12)
def exercise_02_3(answer: Callable[[lora.LoRALinear], str]) -> str | None:
    words = ("healthy", "not a no-op", "never learns", "wrong scale")
    seen = []
    for truth, layer, remark in _patients():
        word = answered(answer(layer))
        if word not in words:
            return f"Answer with one of {', '.join(map(repr, words))}. You returned {word!r}."
        seen.append((truth, word, remark))
    if len({word for _, word, _ in seen}) == 1:
        return f"You call every layer {seen[0][1]!r}, and not all of them are. Look at lora_A, lora_B and scaling."
    return next((f"You said {word!r}, but {remark}" for truth, word, remark in seen if word != truth), None)


def _patients() -> list[tuple[str, lora.LoRALinear, str]]:
    """(what is wrong with it, the layer, what to say when it is missed); some are healthy."""

    def layer(r: int = 4, lora_alpha: float = 8) -> lora.LoRALinear:
        return lora.LoRALinear(nn.Linear(7, 6), r, lora_alpha)

    healthy, other, zeros, noisy, no_scale, half_scale = (layer(), layer(2, 2), layer(), layer(), layer(), layer(4, 4))
    mirrored = layer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        nn.init.normal_(noisy.lora_B)
        nn.init.normal_(mirrored.lora_B)
    nn.init.zeros_(zeros.lora_A)
    nn.init.zeros_(mirrored.lora_A)
    no_scale.scaling, half_scale.scaling = 1.0, 4.0
    return [
        ("healthy", healthy, "this layer starts as the paper says (A random, B zero, scale α/r), so it is healthy."),
        ("healthy", other, "this layer has r = 2 and α = 2, so α/r is 1, and it is healthy. Compare with α/r."),
        (
            "never learns",
            zeros,
            "here A and B are both zero. Each one's gradient is multiplied by the other, so neither moves.",
        ),
        ("not a no-op", noisy, "here A and B are both random, so B·A is not zero and the model starts damaged."),
        (
            "healthy",
            mirrored,
            "here A is zero and B is random. B·A is still zero, and A gets a gradient: one zero is enough.",
        ),
        ("wrong scale", no_scale, "here scaling is 1, but α/r is 2: the scale was forgotten."),
        ("wrong scale", half_scale, "here scaling is α (4), not α/r (1): the division by r was forgotten."),
    ]
