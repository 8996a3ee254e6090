"""Our model beside PEFT's: which numbers belong together, and how far apart the two are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ... import lora


def twins(ours: nn.Module, peft_model: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Each A and B of ours, with the parameter of PEFT's that holds the same thing."""
    in_peft = dict(peft_model.named_parameters())
    return [
        (getattr(layer, part), in_peft[f"base_model.model.{name}.{part}.default.weight"])
        for name, layer in lora.lora_layers(ours)
        for part in ("lora_A", "lora_B")
    ]


def gap(couples: Iterable[tuple[Tensor, Tensor]]) -> float:
    """The largest |a − b| over pairs of tensors."""
    return max((a - b).abs().max().item() for a, b in couples)


def differences(ours: Any, peft_model: Any, batch: Mapping[str, Tensor]) -> dict[str, float]:
    """The largest differences after a forward and a backward pass of both: logits, gradients and weights.

    The gradients of A and B stay in the models. Where neither has an A and B any more, the logits and every weight.
    """
    one, two = ours(**batch), peft_model(**batch)
    found = {"logits": gap([(one.logits, two.logits)])}
    if not one.loss.requires_grad:
        return found | {"weights": gap(zip(ours.parameters(), peft_model.parameters(), strict=True))}
    for model, loss in ((ours, one.loss), (peft_model, two.loss)):
        model.zero_grad()
        loss.backward()
    pairs = twins(ours, peft_model)
    return found | {"gradients": gap((a.grad, b.grad) for a, b in pairs), "weights": gap(pairs)}  # type: ignore[misc]


def rounding_step(value: Tensor) -> float:
    """The distance from a number to the next larger one that its format can hold."""
    return (torch.nextafter(value, torch.tensor(torch.inf)) - value).item()


@torch.no_grad()
def logits(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """The model's logits on the batch, padding left out: tokens × vocabulary."""
    found: Tensor = model(**batch).logits
    return found[batch["attention_mask"].bool()]
