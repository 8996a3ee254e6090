"""What cannot be rounded, in a sentence that says what to do next."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LARGEST_FP32 = torch.finfo(torch.float32).max


def check_loaded(tensor: Tensor, what: str) -> None:
    """Raise ValueError, naming `what`, when the tensor is on the meta device."""
    if tensor.is_meta:
        raise ValueError(f"{what} is on the meta device, which keeps shapes but no numbers: load the weights first.")


def check_numbers(tensor: Tensor, what: str) -> None:
    """Raise ValueError, naming `what`, unless every number is there, finite, and within fp32's range."""
    check_loaded(tensor, what)
    if not torch.isfinite(tensor).all():
        raise ValueError(f"{what} holds NaN or infinity: find its cause first.")
    if tensor.dtype == torch.float64 and (largest := tensor.abs().max()) > LARGEST_FP32:
        raise ValueError(f"{what} goes up to {largest:.3g}, and fp32 ends at {LARGEST_FP32:.3g}: scale it down first.")


def linear_named(model: nn.Module, name: str) -> nn.Linear:
    """The Linear of that name in 16 or 32 bits; raises ValueError when the model has none."""
    try:
        module = model.get_submodule(name)
    except AttributeError as error:
        raise ValueError(f"the model has no layer named {name!r}: look through model.named_modules().") from error
    if not isinstance(module, nn.Linear) or not module.weight.is_floating_point():
        raise ValueError(f"{name} is a {type(module).__name__}: only a Linear in 16 or 32 bits can be rounded.")
    return module
