"""Whose LoRA layer trains in lesson 03: the course's, or the class that the learner wrote in lesson 02."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ... import lora
from ...course import learner

COURSE, MINE = "the course's", "mine"
NAME = "my_lora"  # under which lesson 02 keeps the learner's class MyLoRA
LARGEST = 4  # how many times 1/√k the numbers of A may be at the start, in the root of their mean square
RISEN = 1.0  # nats above the first step's loss; batches differ by about half of it


def layer_class(whose: str) -> type[nn.Module]:
    """The class that trains: MyLoRA where `whose` is "mine" and it is sound, the course's LoRALinear otherwise.

    Prints which, and in one sentence what keeps the learner's class from training. Raises ValueError for another word.
    """
    if whose not in (COURSE, MINE):
        raise ValueError(f"whose = {whose!r}: write {COURSE!r} or {MINE!r}.")
    if whose == COURSE:
        print("The course's layer trains.")
        return lora.LoRALinear
    file = learner.newest_code(NAME)
    mine = _read(file) if file else "There is no MyLoRA of yours yet."
    wrong = mine if isinstance(mine, str) else ailment(mine)
    if isinstance(mine, str) or wrong:
        print(f"{wrong} So the course's layer trains; solve the exercise in lesson 02, then come back.")
        return lora.LoRALinear
    print("Your own MyLoRA trains.")
    return mine


def _read(file: Path) -> type[nn.Module] | str:
    """The class MyLoRA of the learner's `file`, or a sentence that says why there is none."""
    spec: Any = importlib.util.spec_from_file_location(NAME, file)
    module: Any = importlib.util.module_from_spec(spec)
    vars(module).update(torch=torch, nn=nn, Tensor=torch.Tensor)  # what the lesson's notebook had imported
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a learner's code may fail in any way
        return f"Your {file.name} stopped with {type(error).__name__}: {error}."
    my_class = getattr(module, "MyLoRA", None)
    return my_class if isinstance(my_class, type) else f"Your {file.name} holds no class named MyLoRA."


@torch.no_grad()
def ailment(mine: type[nn.Module]) -> str | None:
    """What is wrong with a learner's layer, in a sentence; None when it computes and trains what the course's does."""
    r, d, k, alpha = 8, 12, 576, 13.0  # α/r is like nothing else, and k is our base's
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        linear, x = nn.Linear(k, d, bias=False), torch.randn(4, k)
        try:
            layer = mine(linear, r, alpha)
        except Exception as error:
            return f"Your MyLoRA(linear, r, lora_alpha) stopped with {type(error).__name__}: {error}."
        A, B = (_learned(layer, name) for name in ("lora_A", "lora_B"))
        if not (isinstance(A, nn.Parameter) and isinstance(B, nn.Parameter)):
            return "Your MyLoRA has no parameters named lora_A and lora_B, so they cannot be saved."
        if tuple(A.shape) not in ((r, k), (k, r)) or tuple(B.shape) not in ((d, r), (r, d)):
            return f"In your MyLoRA lora_A is {tuple(A.shape)} and lora_B {tuple(B.shape)}; they must be r×k and d×r."
        more = [name for name, p in layer.named_parameters() if p.requires_grad and p is not A and p is not B]
        if any(p is linear.weight and p.requires_grad for p in layer.parameters()):
            return "Your MyLoRA leaves W trainable: freeze it with requires_grad_(False)."
        if more:
            return f"Your MyLoRA trains {more[0]} besides lora_A and lora_B."
        if B.any() or not A.any():
            return "In your MyLoRA B must start at zero and A must not, or the layer starts wrong or never learns."
        if (times := float(A.square().mean().sqrt()) * math.sqrt(k)) > LARGEST:
            return f"In your MyLoRA A starts {times:.0f} times larger than 1/√k, so each step would be as many times too large."
        B.normal_()
        try:
            h = layer(x)
        except Exception as error:
            return f"The forward pass of your MyLoRA stopped with {type(error).__name__}: {error}."
    right = x @ linear.weight.T + x @ _laid(A, (r, k)).T @ _laid(B, (d, r)).T * alpha / r
    if not isinstance(h, torch.Tensor) or h.shape != right.shape or not torch.allclose(h, right, atol=1e-4):
        return "Your MyLoRA does not compute W·x + (α/r)·B·(A·x)."
    return None


def _learned(layer: nn.Module, name: str) -> Any:
    """The learner's lora_A or lora_B: itself, or the weight of the nn.Linear that it is; None where there is none."""
    part = getattr(layer, name, None)
    return part.weight if isinstance(part, nn.Linear) else part


def _laid(matrix: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """`matrix` as the course keeps it; a learner may keep it turned round."""
    return matrix if tuple(matrix.shape) == tuple(shape) else matrix.T


def look_at(losses: Sequence[float]) -> None:
    """Say so in a sentence where the loss of a training has risen; nothing where it has not."""
    if losses[-1] > losses[0] + RISEN:
        print(
            f"The loss has risen, from {losses[0]:.2f} to {losses[-1]:.2f}: the steps are too large. Either A starts too large "
            "(1/√k is right for its numbers), or the learning rate is too high."
        )


def attach(model: nn.Module, layer: type[nn.Module], r: int, lora_alpha: float, seed: int = 0) -> None:
    """Freeze `model` and put a `layer` around every Linear but the output head, in place; old adapters come off."""
    as_the_courses(model)
    lora.detach(model)
    if layer is lora.LoRALinear:
        lora.attach(model, r, lora_alpha, seed=seed)
        return
    names = lora.resolve_targets(model, "all-linear")
    model.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in names:
            linear: Any = model.get_submodule(name)
            made: Any = layer(linear, r, lora_alpha).to(linear.weight.device)
            made._stands_for = (linear, r, lora_alpha)
            model.set_submodule(name, made)


@torch.no_grad()
def as_the_courses(model: nn.Module) -> None:
    """Replace every layer of the learner's by the course's with the same W, A and B, in place: the rest knows those."""
    theirs = [(name, module) for name, module in model.named_modules() if hasattr(module, "_stands_for")]
    for name, module in theirs:
        linear, r, lora_alpha = module._stands_for
        same = lora.LoRALinear(linear, r, lora_alpha)
        same.lora_A.copy_(_laid(_learned(module, "lora_A"), same.lora_A.shape))
        same.lora_B.copy_(_laid(_learned(module, "lora_B"), same.lora_B.shape))
        model.set_submodule(name, same)
