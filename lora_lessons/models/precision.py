"""What computes here, a graphics card or the processor, and in which precision it is faster, measured once."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from contextlib import suppress
from functools import cache
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..files import read_text, write_text
from ..machine import processor, version
from ..paths import cache_dir

if TYPE_CHECKING:
    import torch


class Precision(NamedTuple):
    """The number format to train in here, and the measurement that chose it."""

    name: str  # "fp32" or "bf16"
    fp32_ms: float
    bf16_ms: float

    @property
    def why(self) -> str:
        ratio = self.fp32_ms / self.bf16_ms
        return (
            f"a forward and backward layer took {self.fp32_ms:.0f} ms in fp32 and {self.bf16_ms:.0f} ms in "
            f"bf16 (ratio {ratio:.2f})"
        )


@cache
def best_precision() -> Precision:
    """bf16 or fp32, whichever a short measurement on this processor finds faster; kept in the cache folder.

    No table of processors can say: bf16 is twice as fast as fp32 on one and 25 times slower on another.
    """
    import torch

    file = cache_dir() / f"precision-{_machine_key()}.json"
    if kept := _kept(file):
        return kept
    # In turn, and the fastest counts: a moment in which the machine did something else must not decide.
    rounds = [[_layer_ms(dtype) for dtype in (torch.float32, torch.bfloat16)] for _ in range(2)]
    fp32_ms, bf16_ms = map(min, zip(*rounds, strict=True))
    if kept := _kept(file):  # another process was sooner, and all are to compute alike
        return kept
    measured = Precision(_faster(fp32_ms, bf16_ms), fp32_ms, bf16_ms)
    # No cache to keep it in: measured again next time.
    with suppress(OSError):
        write_text(file, json.dumps(measured._asdict()))
    return measured


def _machine_key() -> str:
    """16 hex digits that change with whatever the measurement depends on."""
    import torch

    parts: list[str | None] = [version("torch"), processor(), platform.machine(), best_device()]
    parts += [torch.backends.cpu.get_cpu_capability(), os.environ.get("ONEDNN_MAX_CPU_ISA")]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _faster(fp32_ms: float, bf16_ms: float) -> str:
    """bf16 where it is faster by more than the noise of the measurement."""
    return "bf16" if bf16_ms < 0.9 * fp32_ms else "fp32"


def _kept(file: Path) -> Precision | None:
    """What an earlier measurement left in `file`; None where there is none,
    or where it is not one that we would write."""
    try:
        kept = Precision(**json.loads(read_text(file)))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    times = kept.fp32_ms, kept.bf16_ms
    if not all(type(ms) in (int, float) and 0 < ms < inf for ms in times) or kept.name != _faster(*times):
        return None
    return kept


def _layer_ms(dtype: torch.dtype, tokens: int = 256, repeats: int = 3) -> float:
    """Milliseconds of the fastest 576 → 1536 → 576 forward and backward, the base's MLP shape."""
    import torch

    device = best_device()
    up, down = (torch.nn.Linear(a, b, bias=False, dtype=dtype, device=device) for a, b in ((576, 1536), (1536, 576)))
    x = torch.randn(tokens, 576, dtype=dtype, device=device, requires_grad=True)
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        down(up(x)).float().sum().backward()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    # Without the first run, which also builds kernels.
    return min(times[1:])


def fast_dtype(device: str | None = None) -> torch.dtype:
    """What a 4-bit base should compute in: bf16 where it is fast, else fp16 on a card (a T4)
    and fp32 on a processor."""
    import torch

    if (device or best_device()).startswith("cuda"):
        # Ampere, the first with bf16, is 8.
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    return torch.bfloat16 if best_precision().name == "bf16" else torch.float32


def best_device() -> str:
    """ "cuda" where PyTorch sees a card, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def card() -> tuple[str, float] | None:
    """The name of the graphics card that PyTorch sees and the bytes it holds; None where there is none."""
    import torch

    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    return properties.name, float(properties.total_memory)
