"""Trials of what trains: the second adapter, and what an attachment leaves free."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import get_peft_model

from .... import lora
from ....adapter import adapter_of, attach_adapter
from ..tiny_llama import OTHER_IDS, adamw, learn, lora_config, loss_of, moved, scratch, tiny_llama, weights_of


class Second(NamedTuple):
    """What training a second adapter did: tensors of each adapter that moved, and of the base; the losses; the file."""

    first: int
    second: int
    base: int
    losses: list[float]
    # the first adapter's loss on its own text, before and after
    on_first: tuple[float, float]
    # lora_B of the second adapter with a gradient after the first backward
    heard: int
    folder: Path


def second_adapter(add_second: Callable[[Any], Any], steps: int = 20) -> Second:
    """Train "first" on IDS, then whatever `add_second` trains on OTHER_IDS."""
    torch.manual_seed(0)
    model = get_peft_model(tiny_llama(), lora_config(), adapter_name="first")
    learn(model, adamw(model.parameters()), steps)
    before = loss_of(model)
    kept = weights_of(model, "")
    optimizer = add_second(model)
    start = weights_of(model, ".second.")
    losses = learn(model, optimizer, 1, OTHER_IDS)
    seconds = [p.grad for name, p in model.named_parameters() if "lora_B.second" in name]
    heard = sum(grad is not None and bool(grad.any()) for grad in seconds)
    losses += learn(model, optimizer, steps - 1, OTHER_IDS)
    folder = scratch()
    model.save_pretrained(str(folder))
    model.set_adapter("first")
    first = {name: tensor for name, tensor in kept.items() if ".first." in name}
    base = {name: tensor for name, tensor in kept.items() if ".first." not in name}
    return Second(
        moved(model, first),
        moved(model, start),
        moved(model, base),
        losses,
        (before, loss_of(model)),
        heard,
        folder,
    )


class Attached(NamedTuple):
    """What a hand-made attachment trained."""

    trainable: int
    # numbers that A and B have
    in_adapter: int
    # tensors of the base, and of A and B, that other numbers are in now
    base_moved: int
    adapter_moved: int
    # numbers that the optimizer holds
    held: int
    losses: list[float]
    # the loss at the end of the run, and with the adapter alone on a fresh copy of the base
    in_the_run: float
    from_the_file: float


def attached(attach: Callable[[Any], torch.optim.Optimizer], steps: int = 20) -> Attached:
    """Attach, train, and put A and B alone on a fresh copy of the base."""
    net = tiny_llama()
    torch.manual_seed(0)
    optimizer = attach(net)
    trainable = lora.trainable_parameters(net)
    adapter = weights_of(net, "lora_")
    base = {name: tensor for name, tensor in weights_of(net, "").items() if name not in adapter}
    losses = learn(net, optimizer, steps)
    fresh = tiny_llama()
    attach_adapter(fresh, adapter_of(net))
    held = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    sizes = sum(tensor.numel() for tensor in adapter.values())
    return Attached(trainable, sizes, moved(net, base), moved(net, adapter), held, losses, loss_of(net), loss_of(fresh))
