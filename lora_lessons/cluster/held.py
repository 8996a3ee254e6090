"""What a rank holds in memory: its shards between blocks, and its process at most."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from ..machine import peak_bytes


def sharded_bytes(model: nn.Module) -> int:
    """Bytes of parameters that this rank holds between blocks: its shards, and what is not sharded.

    Of a 4-bit weight the packed codes are sharded; the scales (absmax), which stay whole on each rank, count too.
    """
    total = sum((p.to_local() if hasattr(p, "to_local") else p).nbytes for p in model.parameters())
    for module in model.modules():
        state = getattr(module, "quant_state", None)
        total += sum(t.nbytes for t in state.as_dict(packed=True).values()) if state else 0
    return total


def forget_peak() -> None:
    """Begin to look for the peak now: what loading took is let go of first, and no longer counts.

    On Linux and on cards. Elsewhere the peak is that of the whole process, loading included.
    """
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """The most bytes since `forget_peak`: of a card's tensors, or of the process on a CPU, libraries included."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else peak_bytes()
