"""QLoRA by hand: a product with a packed W, the layer around it, and whose layer trains in lesson 07.

What stands first is what the lesson's exercises ask for, as the course writes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from ... import lora, tasks, training
from ...course import own_code
from ...course.exercises import own_layer
from ...memory import held_bytes, tape
from ..l06.by_hand import ByHand, Pieces, back, nf4


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


# ---- whose layer trains ----


def my_qlora() -> type[nn.Module]:
    """The class that trains: the learner's MyQLoRA where the check of exercise 07.5 still finds it right,
    or the course's."""
    return own_layer("my_qlora", "MyQLoRA", "07.5", MyQLoRA)


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
    adapters are on already, or the layer keeps its packed W where it cannot be found.
    """
    if any("lora_" in name for name, _ in model.named_parameters()):
        raise ValueError("this model has its adapters already: load the base anew and go on from there.")
    made_by = f"{lora_alpha} {own_code.mark('my_qlora', 'PackedProduct', *Pieces._fields)}"

    def make(_: str, linear: nn.Linear) -> nn.Module:
        made: Any = layer(linear, r, lora_alpha)
        if not _packed_in(made):
            raise ValueError("your layer keeps its packed W where nobody finds it: write self.q = nf4(linear.weight).")
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
        W = back(_packed_in(layer)).to(dtype)  # type: ignore[arg-type]
        d, k = W.shape
        linear = nn.Linear(k, d, bias=bias is not None, device="meta", dtype=dtype)
        linear.weight, linear.bias = nn.Parameter(W), bias
        same = lora.LoRALinear(linear, r, lora_alpha)
        same.lora_A.copy_(own_code.learned(layer, "lora_A"))
        same.lora_B.copy_(own_code.learned(layer, "lora_B"))
        model.set_submodule(name, same)


def _packed_in(module: nn.Module) -> ByHand | None:
    """The packed W among a layer's attributes, by whatever name; None where there is none."""
    return next((one for one in vars(module).values() if isinstance(one, ByHand)), None)


@torch.no_grad()
def same_adapter(model: nn.Module, other: nn.Module) -> None:
    """Give PEFT's model `other` the A and B that `model` has, for every layer that `attach` made."""
    for name, p in model.named_parameters():
        if "lora_" in name:
            other.get_parameter(f"base_model.model.{name.removesuffix('.weight')}.default.weight").copy_(p)


def batches(
    examples: Sequence[tasks.Encoded], how: training.Settings, steps: int, device: Any
) -> list[dict[str, Tensor]]:
    """The batches of the first steps that `training.train` would take, for a loop that takes them as they are."""
    order = training.batches(len(examples), how)[:steps]
    made = (tasks.collate([examples[i] for i in chosen], pad_id=0) for chosen in order)
    return [{name: tensor.to(device) for name, tensor in batch.items()} for batch in made]


# ---- what a layer holds ----


def tensors_in(thing: Any) -> Iterator[Tensor]:
    """Every tensor in a layer, and in the tuples, lists, dictionaries and objects that it holds, once."""
    todo, seen = [thing], set()
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, type):
            continue
        seen.add(id(one))
        if isinstance(one, Tensor):
            yield one
        elif isinstance(one, dict):
            todo += one.values()
        elif isinstance(one, (tuple, list)):
            todo += one
        else:
            todo += getattr(one, "__dict__", {}).values()


def packed_bytes(layer: Any) -> int:
    """What a QLoRA layer holds of its W: all but A, B and the bias."""
    learned = {id(p) for p in layer.parameters()}
    return held_bytes(one for one in tensors_in(layer) if id(one) not in learned)


def kept(product: Callable[[Tensor], Tensor], x: Tensor, holds: Any) -> int:
    """Bytes that live on after `product(x)` besides its output, x, and what `holds`, a layer or a packed W,
    holds anyway.

    The tape also sees what is put on ctx, where PyTorch's saved-tensor hooks do not look. Tables that are made once,
    at the first product, do not count.
    """
    product(x)
    return tape.kept_for_backward(lambda given: product(given[0]), [x, *tensors_in(holds)])
