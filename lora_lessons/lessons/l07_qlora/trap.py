"""A trap of bitsandbytes on some processors, watched for two steps: who gets a gradient, and whether it is the right one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import bitsandbytes as bnb
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

Gradients = dict[str, Tensor]


def evaluated_then_adapted(net: Any, seed: int = 0) -> Any:
    """Evaluate `net` once, as one does before training; then put a fresh PEFT adapter beside every Linear."""
    with torch.no_grad():
        net.eval()(torch.arange(64)[None])
    torch.manual_seed(seed)
    return get_peft_model(net, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear"))


def gradients(model: Any, batch: Mapping[str, Tensor]) -> Gradients:
    """The gradient of every lora_B from one training batch, by name; zeros where there is none."""
    model.train().zero_grad(set_to_none=True)
    with warnings.catch_warnings(record=True) as caught:
        model(**batch).loss.backward()
    if any("autograd kernel was not registered" in str(one.message) for one in caught):
        print("PyTorch warned, once: an operation has no autograd kernel, and its gradients may be silently wrong.")
    named = {name: p for name, p in model.named_parameters() if "lora_B" in name}
    return {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in named.items()}


def close(model: Any) -> None:
    """Close the trap on any processor: every 4-bit layer hands on its result, but no gradient comes back through its W.

    That is what bitsandbytes' repacked product does where the processor has it.
    """
    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit) and not hasattr(module, "lora_A"):
            module.register_forward_hook(lambda _module, _args, out: out.detach())


def heard(found: Gradients) -> int:
    """How many of the gradients are not zero."""
    return sum(bool(gradient.any()) for gradient in found.values())


def take_a_step(model: Any, learning_rate: float = 4e-3) -> None:
    """One AdamW step with the gradients that `model` has now."""
    trained = [p for p in model.parameters() if p.requires_grad]
    torch.optim.AdamW(trained, lr=learning_rate, weight_decay=0.0, foreach=False).step()


def same_adapter(model: Any, other: Any) -> None:
    """Give `other` the adapter that `model` has."""
    mine = {name: p.detach() for name, p in model.named_parameters() if "lora_" in name}
    with torch.no_grad():
        for name, p in other.named_parameters():
            if name in mine:
                p.copy_(mine[name])


def cosines(found: Gradients, right: Gradients, without: tuple[str, ...] = ("o_proj", "down_proj")) -> Tensor:
    """The cosine between each gradient and the right one, for the matrices whose names hold none of `without`."""
    names = [name for name in found if not any(part in name for part in without)]
    pairs = [(found[name].flatten(), right[name].flatten()) for name in names]
    return torch.stack([torch.cosine_similarity(a, b, dim=0) for a, b in pairs])
