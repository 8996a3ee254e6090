"""A colleague's scales for a stack of adapters of different ranks: exercise 16.2 finds what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ... import many_adapters
from ...adapter import Adapter


def scales(adapters: Sequence[Adapter]) -> Tensor:
    """α/r of each, as she computes it after she has filled all of them up to rank r."""
    r = max(adapter.r for adapter in adapters)
    return torch.tensor([adapter.lora_alpha / r for adapter in adapters])


@contextmanager
def at_work(many: Any, adapters: Sequence[Adapter]) -> Iterator[Any]:
    """While the block runs, the stack of `many` has her scales; afterwards it has its own again, also after an error."""
    layers = list(many_adapters.many_layers(many).values())
    own = [layer.scaling for layer in layers]
    try:
        for layer in layers:
            layer.scaling = scales(adapters)
        yield many
    finally:
        for layer, scaling in zip(layers, own, strict=True):
            layer.scaling = scaling
