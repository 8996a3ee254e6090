"""Exercises of lesson 07: gradients through a packed weight, a guard, the fixed part of the bill."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ... import quant
from ...course.exercises import answered, exercise, not_a_number


@exercise("07.1", "The way back through 4 bits", difficulty=2, minutes=6)
def exercise_07_1(backward: Callable[[Tensor, quant.Quantized], Tensor]) -> str | None:
    torch.manual_seed(0)
    q, g = quant.quantize(torch.randn(64, 64)), torch.randn(3, 64)
    W = quant.dequantize(q)
    try:
        got = answered(backward(g.clone(), q))
    except TypeError:
        return "q holds packed codes, which cannot be multiplied: quant.dequantize(q) gives you W."
    except RuntimeError:
        return "The shapes do not fit: g comes first, (tokens×d)·(d×k), without a transpose."
    if not isinstance(got, Tensor):
        return f"Return a tensor; you returned a {type(got).__name__}."
    if got.shape == W.shape:
        return "That is W's gradient. W is frozen and needs none; you are asked for x's, one row per token."
    if got.shape != g.shape:
        return f"Check the order and the shapes: g is tokens×d, W is d×k, x's gradient is tokens×k; you gave {tuple(got.shape)}."
    got = got.to(g.dtype)
    if torch.allclose(got, g @ W, atol=1e-4):
        wide = quant.quantize(torch.randn(96, 64))
        more = torch.randn(2, 5, 96)
        other = backward(more.clone(), wide)
        if other.shape != (2, 5, 64):
            return f"Right, but x may have more axes: for g (2×5×96) expected (2×5×64), got {tuple(other.shape)}."
        if torch.allclose(other.to(g.dtype), more @ quant.dequantize(wide), atol=1e-4):
            return None
        return (
            "Right for tokens in one row after another. With one axis more the shape is right and the numbers are not."
        )
    if torch.allclose(got, g @ W.T, atol=1e-4):
        return "That is the forward direction, h = x·Wᵀ. On the way back the d outputs are summed up, so there is no transpose."
    if torch.allclose(got, g, atol=1e-6):
        return "You passed g on unchanged. Each output is a sum of inputs times weights, so the weights must come in again."
    return "The shape is right but the numbers are not. Use g and the dequantized W, and nothing else."


@exercise("07.2", "A guard that notices", difficulty=2, minutes=6)
def exercise_07_2(silent: Callable[[Mapping[str, nn.Parameter]], list[str]]) -> str | None:
    adapters = {}
    for name, grad in (
        ("a.lora_B", 0.0),
        ("b.lora_B.default.weight", None),
        ("c.lora_B", 1.0),
        ("d.lora_A", 0.0),
        ("e.lora_B", "one"),
    ):
        adapters[name] = p = nn.Parameter(torch.zeros(2, 2))
        if grad is not None:
            p.grad = torch.full((2, 2), 0.0 if isinstance(grad, str) else grad)
    adapters["e.lora_B"].grad = torch.tensor([[0.0, -2.0], [2.0, 0.0]])
    returned = answered(silent(adapters))
    if isinstance(returned, (str, dict)) or not isinstance(returned, (list, tuple, set)):
        return f"Return a list of names; you returned a {type(returned).__name__}."
    got = sorted(returned)
    if got == ["a.lora_B", b := "b.lora_B.default.weight"]:
        return None
    if got == ["c.lora_B", "e.lora_B"]:
        return "This is the wrong way round: those are the ones that learn."
    if got == [b]:
        return "That is the colleague's guard: a gradient of zeros is not None, but it teaches nothing."
    if got == ["a.lora_B"]:
        return "b is missing: its gradient is None. PEFT's names go on after lora_B (b.lora_B.default.weight), so use `in`."
    if "d.lora_A" in got:
        return "At step 0 every lora_A rightly has a zero gradient, because its B is zero (lesson 02). Look only at lora_B."
    if "e.lora_B" in got:
        return "e's gradient has numbers that are not zero, so it learns. Use any() rather than all() or a sum: −2 and 2 add up to nothing."
    return f"Expected ['a.lora_B', '{b}']; you gave {got}."


@exercise("07.3", "The fixed part of the bill", difficulty=2, minutes=6)
def exercise_07_3(fixed_gb: Callable[[float, float, float], float]) -> str | None:
    linear, rest, trains = 6.5e9, 1.1e9, 40e6
    got = answered(fixed_gb(linear, rest, trains))
    if advice := not_a_number(got):
        return advice
    packed, wide, learned = linear * 4.127 / 8, 2 * rest, 16 * trains
    right = (packed + wide + learned) / 1e9

    def is_(value: float) -> bool:
        return math.isclose(got, value, rel_tol=0.004)

    if is_(right):
        if math.isclose(fixed_gb(8e9, 0, 0), 4.127, rel_tol=0.004):
            return None
        return "Right for these numbers, but wrong without rest and adapters: use all three arguments."
    for wrong, advice in (
        (right * 1e9 / 2**30, "That is in GiB; you are asked for GB, which are 1e9 bytes."),
        (
            (linear * 4.5 / 8 + wide + learned) / 1e9,
            "4.5 bits is the size without double quantization; with it, a weight takes 4.127.",
        ),
        ((linear / 2 + wide + learned) / 1e9, "The scales are missing: a parameter takes 4.127 bits, not 4."),
        (((linear + rest) * 4.127 / 8 + learned) / 1e9, "Embeddings, head and norms stay in 16 bits: two bytes each."),
        (
            (packed + wide + 4 * trains) / 1e9,
            "Each number that trains also needs a gradient (4 bytes) and AdamW's two moments (8 bytes).",
        ),
        (
            (packed + wide + 12 * trains) / 1e9,
            "Four bytes per trained number are missing: weight 4, gradient 4, two moments 8.",
        ),
        ((packed + wide + 8 * trains) / 1e9, "AdamW's two moments are missing: 8 bytes per trained number."),
        ((linear * 4.127 + 16 * rest + 128 * trains) / 1e9, "Those are bits; eight of them make a byte."),
        ((linear * 4.127 + wide + learned) / 1e9, "4.127 is in bits: divide by 8 for bytes."),
        (right * 1e9, "That is in bytes: divide by 1e9 for GB."),
    ):
        if is_(wrong):
            return advice
    return f"With 6.5 billion packed, 1.1 billion other and 40 million trained numbers we expected {right:.2f} GB; you gave {got:.4g}."
