"""What gets a gradient, and two checks that stop a run before it learns nothing."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from .history import TrainingStopped
from .ranks import whole

# How PEFT's adapters name their matrices, behind the layer's own name.
PARTS = re.compile(r"\.(?:lora|vera|hada|lokr)_")


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of `model` that require a gradient, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def check_loss(loss: Tensor, step: int, learning_rate: float) -> None:
    """Raise TrainingStopped when `loss`, a single number, is infinite or not a number."""
    if torch.isfinite(loss):
        return
    raise TrainingStopped(
        f"the loss became {loss.item()} at step {step}: lower the learning rate (now {learning_rate:g}; "
        "try a third), check that every example has supervised tokens, or train in fp32."
    )


def check_gradients(learned: dict[str, nn.Parameter]) -> None:
    """Raise TrainingStopped unless every matrix that must have a gradient has one after the first backward.

    Where a matrix is 0, as B is at step 0, those that it is multiplied by rightly have none; it must have one itself,
    and so must everything else that learns.
    """
    zero = {name for name, p in learned.items() if not whole(p.detach()).any()}
    wait_for = {PARTS.split(name)[0] for name in zero if PARTS.search(name)}
    silent = []
    for name, parameter in learned.items():
        waits = name not in zero and PARTS.split(name)[0] in wait_for
        if not waits and (parameter.grad is None or not whole(parameter.grad).any()):
            silent.append(name)
    if silent:
        named = ", ".join(silent[:4]) + (f" and {len(silent) - 4} more" if len(silent) > 4 else "")
        raise TrainingStopped(
            f"{len(silent)} of {len(learned)} trainable matrices got no gradient: {named}. Something between them and "
            "the loss cuts the graph: a quantized layer that ran before training, checkpointing without input "
            "gradients, a detach(), or a layer that the forward pass never calls. The loss could still fall a little, "
            "and the adapter would be poor."
        )
