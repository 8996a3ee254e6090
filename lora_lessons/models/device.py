"""What computes here: a graphics card, or the processor."""

from __future__ import annotations


def best_device() -> str:
    """ "cuda" where PyTorch sees a card, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def card() -> tuple[str, float] | None:
    """The name of the graphics card that PyTorch sees and the bytes it holds; None where there is none."""
    import torch

    if not torch.cuda.is_available():
        return None
    found = torch.cuda.get_device_properties(0)
    return found.name, float(found.total_memory)
