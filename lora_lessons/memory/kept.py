"""What a forward pass keeps for the way back, read off the tape: storages that live on after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from .tape import KINDS, Tape


def out_and_kept(forward: Callable[[Any], Tensor], x: Any, held: nn.Module | None = None) -> tuple[Tensor, int]:
    """`forward(x)`, and the bytes that live on after it besides its output, x and what the module `held` holds anyway.

    x is a tensor, or a batch of them. The tape sees each storage be born and die, so it also sees what a
    `torch.autograd.Function` puts on its `ctx`; PyTorch's saved-tensor hooks see only what goes through
    `save_for_backward`.
    """
    tape = Tape()
    there = [leaf for leaf in tree_leaves(x) if isinstance(leaf, Tensor)]
    there += [] if held is None else [*held.parameters(), *held.buffers()]
    for tensor in there:
        tape.see(tensor, "rest")
    with tape:
        out = forward(x)
        tape.see(out, "working")
        tape.forward_ends()
    trace = tape.read()
    alive = [0] * len(trace.sizes)
    for number, sign in zip(trace.numbers.tolist(), trace.signs.tolist(), strict=True):
        alive[number] += sign
    kept = KINDS.index("activations")
    return out, int(sum(s for s, a, k in zip(trace.sizes, alive, trace.kinds, strict=True) if a > 0 and k == kept))


def kept_for_backward(forward: Callable[[Any], Tensor], x: Any, held: nn.Module | None = None) -> int:
    """Bytes that live on after `forward(x)`, as `out_and_kept` finds them."""
    return out_and_kept(forward, x, held)[1]
