"""What a layer keeps for the way back, read off the tape: storages that live on after its forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ...memory.tape import KINDS, Tape


def kept_for_backward(forward: Callable[[Tensor], Tensor], x: Tensor, held: nn.Module | None = None) -> int:
    """Bytes that live on after `forward(x)`, besides its output, x and what the module `held` holds anyway.

    The tape sees each storage be born and die, so it also sees what a `torch.autograd.Function` puts on its `ctx`;
    PyTorch's saved-tensor hooks see only what goes through `save_for_backward`.
    """
    tape = Tape()
    there = [x, *(() if held is None else (*held.parameters(), *held.buffers()))]
    for tensor in there:
        tape.see(tensor, "rest")
    with tape:
        out: Any = forward(x)
        tape.see(out, "working")
        tape.forward_ends()
    trace = tape.read()
    alive = [0] * len(trace.sizes)
    for number, sign in zip(trace.numbers.tolist(), trace.signs.tolist(), strict=True):
        alive[number] += sign
    kept = KINDS.index("activations")
    return int(sum(s for s, a, k in zip(trace.sizes, alive, trace.kinds, strict=True) if a > 0 and k == kept))
