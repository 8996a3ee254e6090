"""`python -m workshop record layer`: how long one layer takes, there and back: a frozen Linear alone,
and LoRA written four ways.

All of them multiply with the same W, A and B, one after the other in each round, so that whatever else the machine does
meets them alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lora_lessons import models
from lora_lessons.experiments.recordings import keep
from lora_lessons.fast.backward import LoRAProducts, Whole
from lora_lessons.lora import LoRALinear
from lora_lessons.machine import machine
from lora_lessons.memory.job import DTYPES

RECORDING = "layer_speed"
BARE, COURSE, PEFT, LORALIB, FAST = "frozen Linear", "LoRALinear", "PEFT", "loralib's formula", "fast path"
D, R, TOKENS = (576, 2048), (8, 64, 256), (64, 512)
ALPHA = 16


class Contender(NamedTuple):
    """One way to write the layer: x (tokens × d) → h (tokens × d), and the matrices that learn."""

    layer: Callable[[Tensor], Tensor]
    learned: tuple[Tensor, ...]


def ways(d: int, r: int, dtype: torch.dtype, device: str) -> dict[str, Contender]:
    """The layer by name, in every way: the same frozen W (d×d), the same A and B."""
    W = nn.Linear(d, d, bias=False, dtype=dtype, device=device).requires_grad_(False)
    ours = LoRALinear(W, r, ALPHA)
    nn.init.normal_(ours.lora_B, std=0.02)
    A, B, scaling = ours.lora_A, ours.lora_B, ours.scaling
    # loralib makes both in W's own number format
    lora_A, lora_B = (t.detach().to(dtype, copy=True).requires_grad_() for t in (A, B))

    def loralib(x: Tensor) -> Tensor:
        h = W(x)
        update = (x @ lora_A.T @ lora_B.T) * scaling
        return h + update

    def fast(x: Tensor) -> Tensor:
        h: Tensor = LoRAProducts.apply(x, [Whole(lambda: W.weight)], [scaling], A, B)[0]
        return h

    return {
        BARE: Contender(W, ()),
        COURSE: Contender(ours, (A, B)),
        PEFT: _by_peft(W, ours),
        LORALIB: Contender(loralib, (lora_A, lora_B)),
        FAST: Contender(fast, (A, B)),
    }


def _by_peft(W: nn.Linear, ours: LoRALinear) -> Contender:
    import peft

    config = peft.LoraConfig(r=ours.r, lora_alpha=ALPHA, target_modules=["0"])
    wrapped: Any = peft.get_peft_model(nn.Sequential(W), config)
    layer = wrapped.base_model.model[0]
    A, B = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    A.data.copy_(ours.lora_A.data)
    B.data.copy_(ours.lora_B.data)
    return Contender(layer, (A, B))


def there_and_back(way: Contender, x: Tensor, gradient: Tensor) -> float:
    """Seconds of h and of every gradient that the layer owes: to x, as inside a model, and to what learns."""
    for tensor in (x, *way.learned):
        tensor.grad = None
    _wait(x)
    start = time.perf_counter()
    way.layer(x).backward(gradient)
    _wait(x)
    return time.perf_counter() - start


def _wait(x: Tensor) -> None:
    """A card works on when its caller goes on: until it is done, no clock is read."""
    if x.is_cuda:
        torch.cuda.synchronize()


def record(
    sizes: Sequence[int] = D,
    ranks: Sequence[int] = R,
    tokens: Sequence[int] = TOKENS,
    repeats: int = 9,
    out: Path | None = None,
) -> dict[str, Any]:
    """Time every way for every d, r and number of tokens; print medians and ratios to the bare layer, and keep them."""
    device, precision = models.best_device(), models.best_precision().name
    print(f"{machine()}, {device}, {precision}: milliseconds there and back, and how many times the frozen Linear's;")
    print(f"medians of {repeats} rounds. loralib keeps A and B in W's number format, the others in fp32.")
    print(f"{'d':>6}{'r':>5}{'tokens':>8}{BARE:>16}" + "".join(f"{name:>20}" for name in (COURSE, PEFT, LORALIB, FAST)))
    rows = []
    for d, r, length in product(sizes, ranks, tokens):
        rows.append(_row(d, r, length, DTYPES[precision], device, repeats))
        print(line(rows[-1]), flush=True)
    recording = {"device": device, "precision": precision, "repeats": repeats, "rows": rows}
    keep(RECORDING, recording, out)
    return recording


def _row(d: int, r: int, tokens: int, dtype: torch.dtype, device: str, repeats: int) -> dict[str, Any]:
    every = ways(d, r, dtype, device)
    x = torch.randn(tokens, d, dtype=dtype, device=device, requires_grad=True)
    gradient = torch.randn(tokens, d, dtype=dtype, device=device)
    # the first round is not counted: it also makes what later ones find
    rounds = [{name: there_and_back(way, x, gradient) for name, way in every.items()} for _ in range(repeats + 1)][1:]
    seconds = {name: statistics.median(times[name] for times in rounds) for name in every}
    ratios = {name: taken / seconds[BARE] for name, taken in seconds.items()}
    return {"d": d, "r": r, "tokens": tokens, "seconds": seconds, "ratio": ratios}


def line(row: dict[str, Any]) -> str:
    """One setting as text."""
    shown = f"{row['d']:>6}{row['r']:>5}{row['tokens']:>8}{1000 * row['seconds'][BARE]:>13.2f} ms"
    for name in (COURSE, PEFT, LORALIB, FAST):
        shown += f"{1000 * row['seconds'][name]:>10.2f} ms{row['ratio'][name]:>6.2f}×"
    return shown
