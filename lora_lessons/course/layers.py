"""What exercises 02.1 and 07.2 both ask of a LoRA layer that a learner wrote; each mistake has its sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .exercises import wrong_if, wrong_like

R, ALPHA = 3, 13.0  # 1, 2, r, α, α // r, α/√r and r/α all differ from α/r
LARGEST = 4  # how many times 1/√k A's numbers may be, in the root of their mean square
SMALLEST = 0.01  # and how many they must be at least: in our base those of 0.02 and 0.001 that people take are above it


def a_class(answer: Any, name: str) -> None:
    """The answer must be a class of layers, and not one layer."""
    wrong_if(
        (
            isinstance(answer, nn.Module),
            f"Give the class itself to the check: check(…, {name}), without brackets behind it.",
        ),
        (
            not isinstance(answer, type) or not issubclass(answer, nn.Module),
            f"{name} must be a class that inherits from nn.Module, as in the stub.",
        ),
    )


def size(A: Tensor, before: str = "") -> None:
    """A (r×k) must start so that A·x is about as large as x, or not much smaller: its numbers at most about 1/√k."""
    k, rms = A.shape[1], float(A.detach().square().mean().sqrt())
    times = rms * math.sqrt(k)
    wrong_if(
        (
            times < SMALLEST,
            f"{before}A starts too small: {1 / (times or 1):,.0f} times smaller than 1/√k. B's first gradients are as "
            "many times too small, so you begin beside the saddle on lesson 02's map. Draw A between −1/√k and 1/√k.",
        ),
        (
            times > LARGEST,
            f"{before}A starts too large: {times:.0f} times larger than 1/√k. With k = {k} inputs its numbers are "
            f"about {rms:.2g} in size, and should be 1/√k = {k**-0.5:.2g} or a little less. A·x is then {times:.0f} "
            "times too large, so B's gradients are, and so is every change of the model: in training the loss falls "
            "less, or it rises. Divide by math.sqrt(k), or use nn.init.kaiming_uniform_(A, a=math.sqrt(5)).",
        ),
    )


def values(h: Any, Wx: Tensor, BAx: Tensor, base: str, bias: Tensor) -> None:
    """What the layer returns for r = R and α = ALPHA, where B is not zero; `base` is how W·x is had."""
    wrong_like(
        h,
        (Wx + BAx, "You forgot the scale: multiply the update B·A·x by lora_alpha / r."),
        (Wx + R * BAx, "You multiplied the update by r. The scale is α/r."),
        (Wx + 2 * BAx, "Your scale is always 2, which is α/r for α = 16 and r = 8 only: compute lora_alpha / r."),
        (Wx + ALPHA // R * BAx, "`//` rounds α/r down to a whole number: divide with `/`."),
        (Wx + R / ALPHA * BAx, "Your scale is r/α: upside down."),
        (Wx + ALPHA * BAx, "You multiplied by α and did not divide by r. The scale is α/r."),
        (Wx + ALPHA / math.sqrt(R) * BAx, "You divided α by √r: that is rsLoRA. Here the scale is α/r."),
        (ALPHA / R * BAx, f"The update is right, and W·x is missing: add {base}."),
        (ALPHA / R * (Wx + BAx), "You scaled W·x as well. α/r belongs to the update alone."),
        (Wx - bias + ALPHA / R * BAx, f"The base layer's bias is lost: {base} has it, and x @ W.T has not."),
        (Wx, "forward returns the base layer's output alone: the update B·A·x is missing."),
    )


def learn(**parts: Any) -> None:
    """Each of these, by its name, must have got a gradient."""
    wrong_if(
        *(
            (
                part.grad is None or not part.grad.any(),
                f"{name} gets no gradient, so it trains nothing: no_grad, .detach() or .data cuts it off in forward.",
            )
            for name, part in parts.items()
        )
    )


def other_settings(layer: Any, A: Tensor, B: Tensor, x: Tensor, Wx: Tensor, given: str) -> None:
    """A layer of another size, with r = 2 and α = 3: r, α and the sizes must be used as `given`."""
    shapes = f"Your shapes fit one layer only. Take d and k from {given}.weight.shape, and r as given."
    wrong_if(((A.shape, B.shape) != ((2, x.shape[-1]), (Wx.shape[-1], 2)), shapes))
    with torch.no_grad():
        B.normal_()
        right = torch.allclose(layer(x), Wx + 1.5 * (x @ A.T @ B.T), atol=1e-4)
    wrong_if((not right, "Your scale fits one setting only. For r = 2 and α = 3 it is 1.5: compute lora_alpha / r."))


def drawn(A_of: Callable[[], Any]) -> None:
    """Every new layer must start from another A; `A_of` makes a layer and gives its A."""
    starts, seeds = [], []
    for seed in (3, 4):
        torch.manual_seed(seed)
        starts.append(A_of())
        seeds.append(torch.get_rng_state())
    wrong_if(
        (
            torch.equal(*seeds),
            "Your __init__ sets the seed, so all layers start alike, and so does all that is drawn after them: "
            "leave it out.",
        ),
        (torch.equal(*starts), "Every layer you make starts from the same A. Draw it at random, without a seed."),
    )
