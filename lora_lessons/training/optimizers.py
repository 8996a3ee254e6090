"""AdamW in the five ways that the loop trains with and the ledger counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

OPTIMIZERS = ("adamw", "adamw_fused", "adamw_8bit", "paged_adamw", "paged_adamw_8bit")


def make_optimizer(
    name: str,
    parameters: Iterable[Any],
    learning_rate: float,
    weight_decay: float = 0.0,
    device: torch.device | str = "cpu",
) -> Any:
    """AdamW over `parameters` (or groups of them) that lie on `device`.

    PyTorch's own, plain or in one fused kernel; or bitsandbytes': two moments in 8 bits, in memory that a card can
    page out to the host's, or both (QLoRA paper, section 3). On "meta", where the ledger counts, it is what a card has.
    Raises ValueError for a name that is not one of OPTIMIZERS, or a paged one without a card to page from.
    """
    kind = torch.device(device).type
    how: dict[str, Any] = {"lr": learning_rate, "weight_decay": weight_decay}
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer {name!r} is not known: choose from {', '.join(OPTIMIZERS)}.")
    if name == "adamw":
        return torch.optim.AdamW(parameters, **how, foreach=True if kind == "meta" else None)
    if name == "adamw_fused":
        return torch.optim.AdamW(parameters, **how, fused=kind != "meta" or None)
    if name.startswith("paged") and kind == "cpu":
        raise ValueError(f"{name} moves moments between a card and the host: on a CPU choose 'adamw_8bit' or 'adamw'.")
    from bitsandbytes import optim

    paged = {"paged_adamw": optim.PagedAdamW, "paged_adamw_8bit": optim.PagedAdamW8bit}
    plain = {"adamw_8bit": optim.AdamW8bit, "paged_adamw": optim.AdamW, "paged_adamw_8bit": optim.AdamW8bit}
    makers = plain if kind == "meta" else plain | paged
    return makers[name](parameters, **how)


def parameter_groups(learned: dict[str, nn.Parameter], lr_ratio: float) -> list[dict[str, Any]]:
    """Every lora_B, which learns `lr_ratio` times as fast, apart from the rest (LoRA+, Hayou et al. 2024)."""
    B = [p for name, p in learned.items() if "lora_B" in name]
    rest = [p for name, p in learned.items() if "lora_B" not in name]
    return [{"params": ps, "times": times} for ps, times in ((rest, 1.0), (B, lr_ratio)) if ps]


def set_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give each of the `parameter_groups` its multiple of `learning_rate`."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["times"]
