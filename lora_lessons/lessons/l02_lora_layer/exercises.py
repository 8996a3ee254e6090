"""Exercises of lesson 02: what trains, the forward pass, three layers with three ailments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ... import lora
from ...course.exercises import answered, exercise, not_a_number

Count = Callable[[Sequence[tuple[int, int]], int], int]
Forward = Callable[[Tensor, Tensor, Tensor, Tensor, int, float], Tensor]


@exercise("02.1", "What trains, counted", difficulty=1, minutes=4)
def _(answer: Count) -> str | None:
    value = answered(answer([(5, 3)], 2))
    if said := not_a_number(value):
        return said
    mistakes = {
        2
        * 5
        * 3: "You multiplied r, d and k. A and B stand beside each other: add their sizes, B is d×r and A is r×k.",
        5 * 3: "You counted W itself (d·k). W is frozen: only A and B train.",
        5 * 3 + 2 * (5 + 3): "You counted W as well. It is frozen: leave d·k out.",
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
        return "One layer is right. For several shapes you returned the first one's count: add up all of them."
    if several == 3 * 16:
        return "You took the first layer's count three times. Layers differ in shape: count each one."
    if several != 58:
        return f"One layer is right; for (5, 3), (4, 6), (2, 9) at r = 2 expect 58, not {several}."
    if (wider := answer(shapes, 3)) == 58:
        return "Your count does not change with r: use `r` as given, not 2."
    return None if wider == 87 else f"r = 2 is right; the same three layers at r = 3 hold 87, not {wider}."


@exercise("02.2", "The forward pass", difficulty=2, minutes=6)
def _(answer: Forward) -> str | None:
    generator = torch.Generator().manual_seed(2)
    r, alpha = 3, 13.0  # 1, 2, r, α, α // r, α/√r and r/α all differ from α/r
    x, W, A, B = (torch.randn(shape, generator=generator) for shape in ((6, 4), (5, 4), (r, 4), (5, r)))
    try:
        h = answered(answer(x, W, A, B, r, alpha))
    except RuntimeError as error:
        if "shape" not in str(error) and "size" not in str(error):
            raise
        return (
            f"The shapes do not fit ({error}). x is (tokens × k), one row a token: x @ A.T is (tokens × r), and that @ B.T "
            "is (tokens × d). As matrices ΔW is B @ A (d×k); A @ B has no d×k in it."
        )
    if not isinstance(h, Tensor):
        return f"Return a tensor (tokens × d); you returned a {type(h).__name__}."
    if h.shape != (6, 5):
        return (
            f"h must be (tokens × d) = (6, 5), one row a token; yours is {tuple(h.shape)}. Check what you transposed."
        )
    Wx, BAx = x @ W.T, x @ A.T @ B.T
    mistakes = [
        (Wx + BAx, "You forgot the scale α/r: multiply B·A·x by lora_alpha / r."),
        (Wx + r * BAx, "You multiplied the update by r. The scale is α/r."),
        (Wx + 2 * BAx, "Your scale is 2, which is right for α = 16 and r = 8 only: compute lora_alpha / r."),
        (Wx + alpha // r * BAx, "`//` rounds α/r down to a whole number: divide with `/`."),
        (Wx + r / alpha * BAx, "Your scale is r/α: upside down."),
        (Wx + alpha * BAx, "You multiplied by α and did not divide by r. The scale is α/r."),
        (Wx + alpha / math.sqrt(r) * BAx, "You divided α by √r: that is rsLoRA. Here the scale is α/r."),
        (alpha / r * BAx, "The update is right, and W·x is missing: the frozen path stays."),
        (alpha / r * (Wx + BAx), "You scaled W·x as well. α/r belongs to the update alone."),
        (Wx, "That is the base alone: the update B·A·x is missing."),
    ]
    for wrong, sentence in mistakes:
        if torch.allclose(h, wrong, atol=1e-5):
            return sentence
    if not torch.allclose(h, Wx + alpha / r * BAx, atol=1e-5):
        return "The shape is right and the values are not. Write W·x first, then A·x, then B of that, then the scale."
    return None


@exercise("02.3", "Find the mistake: three layers, three ailments", difficulty=2, minutes=8)
def _(answer: Callable[[lora.LoRALinear], str]) -> str | None:
    words = ("healthy", "not a no-op", "never learns", "wrong scale")
    seen = []
    for truth, layer, remark in _patients():
        said = answered(answer(layer))
        if said not in words:
            return f"Answer with one of {', '.join(map(repr, words))}; you returned {said!r}."
        seen.append((truth, said, remark))
    if len({said for _, said, _ in seen}) == 1:
        return f"You call every layer {seen[0][1]!r}, and not all of them are. Look at lora_A, lora_B and scaling."
    return next((f"You said {said!r}: {remark}" for truth, said, remark in seen if said != truth), None)


def _patients() -> list[tuple[str, lora.LoRALinear, str]]:
    """(what ails it, the layer, what to tell who misses it); healthy ones among them."""

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
        ("healthy", healthy, "this one is as the paper has it (A random, B zero, scale α/r)."),
        ("healthy", other, "this layer has r = 2 and α = 2, so α/r is 1, and it is healthy. Compare with α/r."),
        (
            "never learns",
            zeros,
            "here A and B are both zero. Each one's gradient is multiplied by the other: neither moves.",
        ),
        ("not a no-op", noisy, "here A and B are both random, so B·A is not zero and the model starts damaged."),
        ("healthy", mirrored, "here A is zero and B random. B·A is zero and A gets a gradient: one zero is enough."),
        ("wrong scale", no_scale, "here scaling is 1 though α/r is 2: somebody forgot it."),
        ("wrong scale", half_scale, "here scaling is α (4), not α/r (1): somebody forgot to divide by r."),
    ]
