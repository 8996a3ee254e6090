"""Trials of what gets a gradient, and whether it is the right one: checkpointing, and fp16."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import get_peft_model
from torch import Tensor

from ..tiny_llama import (
    IDS,
    LONG_IDS,
    PARTS,
    adamw,
    gradients,
    heard,
    learn,
    lora_config,
    loss_of,
    scratch,
    tiny_llama,
)


class Checkpointed(NamedTuple):
    """What checkpointing left of the gradients."""

    heard: int
    of: int
    # how often each block ran in one step: 2 where its inside was thrown away and computed again
    runs: list[int]
    # the largest difference from the gradients without checkpointing
    apart: float
    losses: list[float]
    folder: Path


def checkpointed(save_memory: Callable[[Any], Any], steps: int = 20) -> Checkpointed:
    """The gradients of one step, and some training, with adapters on q, v and the head."""

    def adapted(change: Callable[[Any], Any]) -> Any:
        torch.manual_seed(0)
        return get_peft_model(change(tiny_llama()), lora_config("q_proj", "v_proj", "lm_head"))

    right, model = gradients(adapted(lambda net: net)), adapted(save_memory)
    runs = [0] * len(model.get_base_model().model.layers)

    def count(i: int) -> Callable[..., None]:
        def one_more(*_: Any) -> None:
            runs[i] += 1

        return one_more

    hooks = [
        block.self_attn.register_forward_hook(count(i)) for i, block in enumerate(model.get_base_model().model.layers)
    ]
    found = gradients(model)
    ran = list(runs)
    for hook in hooks:
        hook.remove()
    apart = max(float((found[name] - right[name]).abs().max()) for name in right)
    model.zero_grad()
    losses = learn(model, adamw(model.parameters()), steps)
    folder = scratch()
    model.save_pretrained(str(folder))
    return Checkpointed(heard(found), len(found), ran, apart, losses, folder)


class Halves(NamedTuple):
    """Gradients of every B, computed through a base in fp16, beside those where all is in fp32."""

    zeros: float
    cosine: float
    # ‖g‖ / ‖right g‖
    size: float
    finite: bool
    # the loss before and after B learned from them
    losses: tuple[float, float]


def half_base() -> Any:
    """The tiny Llama in fp16 with adapters on; A and B are in fp32, because PEFT makes them so."""
    torch.manual_seed(0)
    return get_peft_model(tiny_llama().half(), lora_config())


def in_fp16(
    gradients_in_fp16: Callable[[Any, Tensor, int], dict[str, Tensor]], parts: int = PARTS, steps: int = 0
) -> Halves:
    """Compare what `gradients_in_fp16` returns with the gradients in fp32, then let AdamW take `steps` with it."""
    torch.manual_seed(0)
    whole: Any = get_peft_model(tiny_llama(), lora_config())
    (whole(input_ids=LONG_IDS, labels=LONG_IDS).loss / parts).backward()
    right = flat({name: p.grad for name, p in whole.named_parameters() if "lora_B" in name})
    found = flat(gradients_in_fp16(half_base(), LONG_IDS, parts))
    cosine = torch.cosine_similarity(found, right, 0) if bool(found.any()) else torch.zeros(())
    return Halves(
        float((found == 0).float().mean()),
        float(cosine),
        float(found.norm() / right.norm()),
        bool(torch.isfinite(found).all()),
        _learned(gradients_in_fp16, parts, steps),
    )


def _learned(gradients_in_fp16: Callable[[Any, Tensor, int], dict[str, Tensor]], parts: int, steps: int) -> Any:
    """The loss before and after `steps` of AdamW on every B."""
    model = half_base()
    b = {name: p for name, p in model.named_parameters() if "lora_B" in name}
    before, optimizer = loss_of(model, LONG_IDS), adamw(b.values())
    for _ in range(steps):
        model.zero_grad()
        for name, gradient in gradients_in_fp16(model, LONG_IDS, parts).items():
            b[name].grad = gradient
        optimizer.step()
    return before, loss_of(model, LONG_IDS)


def unscale_error(model: Any) -> str:
    """What a GradScaler says when it meets the gradients of `model`; nothing where they are in fp32."""
    optimizer, scaler = adamw(model.parameters()), torch.amp.GradScaler("cpu")
    scaler.scale(model(input_ids=IDS, labels=IDS).loss).backward()
    try:
        scaler.unscale_(optimizer)
    except ValueError as error:
        return str(error)
    return ""


def flat(tensors: dict[str, Tensor]) -> Tensor:
    """All numbers of these tensors in one row, in fp32."""
    return torch.cat([tensor.float().flatten() for tensor in tensors.values()])
