"""Lesson 07: Does the 4-bit base cost quality?

After it, the learner can train with QLoRA and account for every byte.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from tqdm.auto import tqdm

from ... import lora, memory
from ...by_hand import ByHand, Pieces, back, nf4
from ...course import own_code
from ...course.exercises import own_layer
from ...course.figures import BILL_COLORS
from ...drawing import BLUE, WIDTH
from ...memory import GB
from .checks import learned, tensors_in

__all__ = ["MyQLoRA", "PackedProduct", "as_the_courses", "attach", "my_qlora", "one_step", "tensors_in"]

# ---- what the exercises ask for, as the course writes it ----


class PackedProduct(torch.autograd.Function):
    """x @ W.T, where W is packed in q: W exists while it is multiplied, forward and backward, and not between."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, q: ByHand) -> Tensor:
        ctx.q = q
        return x @ back(q).to(x.dtype).T

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        return g @ back(ctx.q).to(g.dtype), None


class MyQLoRA(nn.Module):
    """h = W·x + bias + (α/r)·B·(A·x): W is kept in 4 bits, and only A (r×k) and B (d×r) train, in 32 bits."""

    def __init__(self, linear: nn.Linear, r: int, lora_alpha: float) -> None:
        super().__init__()
        d, k = linear.weight.shape
        self.q = nf4(linear.weight)
        self.bias = linear.requires_grad_(False).bias
        self.lora_A = nn.Parameter(torch.empty(r, k, device=linear.weight.device))
        self.lora_B = nn.Parameter(torch.zeros(d, r, device=linear.weight.device))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        self.scaling = lora_alpha / r

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = PackedProduct.apply(x, self.q)
        if self.bias is not None:
            h = h + self.bias
        update = x.to(self.lora_A.dtype) @ self.lora_A.T @ self.lora_B.T * self.scaling
        return (h + update).to(x.dtype)


# ---- whose layer trains, here and in lesson 08 ----


def my_qlora() -> type[nn.Module]:
    """The learner's MyQLoRA where the check of exercise 07.2 still finds it right, or the course's; says which."""
    return own_layer("my_qlora", "MyQLoRA", "07.2", MyQLoRA)


def attach(
    model: nn.Module,
    layer: type[nn.Module],
    r: int,
    lora_alpha: float,
    seed: int = 0,
    target_modules: str | Sequence[str] = "all-linear",
) -> None:
    """Freeze `model` and put a QLoRA `layer` in the place of the named Linears (all but the output head), in place.

    One at a time, so that no more than one W is there packed and unpacked; with progress. Raises ValueError where
    adapters are on already.
    """
    if any("lora_" in name for name, _ in model.named_parameters()):
        raise ValueError("this model has its adapters already: load the base anew and go on from there.")
    made_by = f"{lora_alpha} {own_code.mark('my_qlora', 'PackedProduct', *Pieces._fields)}"

    def make(_: str, linear: nn.Linear) -> nn.Module:
        made: Any = layer(linear, r, lora_alpha)
        made._stands_for, made.made_by = (linear.bias, r, lora_alpha), made_by
        return made

    names = tqdm(lora.resolve_targets(model, target_modules), desc="packing", unit="layer", leave=False)
    lora.replace_layers(model, names, make, seed)


@torch.no_grad()
def as_the_courses(model: nn.Module, dtype: torch.dtype) -> None:
    """Replace every layer that `attach` made by the course's, with the same A and B and W unpacked once in `dtype`,
    in place.

    So the model can be saved and answers quickly: a packed W would be unpacked anew for every word.
    """
    for name in [name for name, module in model.named_modules() if hasattr(module, "_stands_for")]:
        layer: Any = model.get_submodule(name)
        bias, r, lora_alpha = layer._stands_for
        W = back(layer.q).to(dtype)
        d, k = W.shape
        linear = nn.Linear(k, d, bias=bias is not None, device="meta", dtype=dtype)
        linear.weight, linear.bias = nn.Parameter(W), bias
        same = lora.LoRALinear(linear, r, lora_alpha)
        for matrix, theirs in zip((same.lora_A, same.lora_B), learned(layer), strict=True):
            matrix.copy_(theirs)
        model.set_submodule(name, same)


# ---- the illustration ----

MOMENTS = ("forward", "loss", "last block", "middle blocks", "first block", "optimizer step")
# What is drawn of a bill, from below: its parts, some of them together, and the colour.
STACK = {
    ("weights",): "#b4b9be",
    ("adapters", "gradients", "moments"): BLUE,
    ("activations",): BILL_COLORS["activations"],
    ("logits, loss",): BILL_COLORS["logits, loss"],
    ("working", "driver, slack"): "#e4e6e8",
}


def one_step(on: memory.Ledger, off: memory.Ledger, model: str) -> tuple[Figure, str]:
    """A step of `model` with checkpointing (`on`) stacked, without it (`off`) as an outline; and the words for it."""
    figure = Figure(figsize=(WIDTH, 4.0))
    ax = figure.subplots()
    x, below = np.arange(len(MOMENTS)), np.zeros(len(MOMENTS))
    for summed, color in STACK.items():
        sizes = [sum(on.moments[moment].parts[part] for part in summed) / GB for moment in MOMENTS]
        ax.bar(x, sizes, 1, bottom=below, color=color, label=", ".join(summed), edgecolor="white", lw=0.8)
        below += sizes
    totals = [off.moments[moment].total / GB for moment in MOMENTS]
    ax.stairs(totals, np.arange(len(x) + 1) - 0.5, color="black", lw=1.4, ls="--")
    most, weights, peak = max(totals), on.bill.weights / GB, MOMENTS.index(on.moment)
    ax.text(2.6, most, f"without checkpointing: {most:.1f} GB", va="bottom", weight="bold", size=10.5)
    ax.text(peak, below[peak] + most / 60, f"{below[peak]:.1f} GB", ha="center", weight="bold", size=10.5)
    ax.text(len(x) / 2 - 0.5, weights / 2, f"weights, {weights:.1f} GB all through", ha="center", va="center")
    ax.set_xticks(x, [moment.replace(" step", "").replace(" ", "\n") for moment in MOMENTS])
    ax.set(ylabel="GB", ylim=(0, 1.1 * most), xlim=(-0.6, len(x) - 0.4))
    ax.set_title(f"With checkpointing the peak is the {on.moment}")
    ax.grid(axis="x", visible=False)
    figure.legend(loc="outside lower center", ncols=2, fontsize=10.5)
    said = [
        f"{moment} {full:.1f} ({without:.1f})" for moment, full, without in zip(MOMENTS, below, totals, strict=True)
    ]
    return figure, (
        f"A QLoRA step of {model}, planned. GB with checkpointing, and without it in brackets: {', '.join(said)}. "
        f"The weights take {weights:.1f} of them at every moment; without checkpointing the peak is the {off.moment}."
    )
