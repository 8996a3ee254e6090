"""Ways to round a weight to 4 bits and back, side by side: codebooks in blocks of 64, and llama.cpp's two even grids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ... import quant


class Way(NamedTuple):
    """A way to round: what comes back of a weight, and the bits a parameter takes, its share of the scales included."""

    back: Callable[[Tensor], Tensor]
    bits: float


def even_marks(W: Tensor, blocksize: int = 32, offset: bool = False) -> Tensor:
    """W on 16 even marks per block and back, as llama.cpp's Q4_0 and (with `offset`) Q4_1 round, for any block size.

    Q4_0: marks −8 … 7 times a scale, so that the block's largest weight, whatever its sign, lies on mark −8. Q4_1: 16 marks from the
    block's lowest weight to its highest. Scale and offset are kept in 16 bits.
    """
    blocks = W.detach().float().reshape(-1, blocksize)
    if offset:
        low, high = blocks.aminmax(dim=1, keepdim=True)
        scale = (high - low) / 15
        codes = ((blocks - low) / scale.clamp(min=1e-38) + 0.5).floor().clamp(0, 15)
        back = codes * scale.half().float() + low.half().float()
    else:
        largest = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
        scale = largest / -8
        codes = (blocks / scale.where(scale != 0, torch.ones_like(scale)) + 8.5).floor().clamp(0, 15)
        back = (codes - 8) * scale.half().float()
    return back.view_as(W)


def _by_codebook(codebook: str, double: bool = False) -> Way:
    def back(W: Tensor) -> Tensor:
        return quant.dequantize(quant.quantize(W, codebook, double=double))

    return Way(back, quant.bits_per_parameter(double=double))


WAYS: dict[str, Way] = {
    "NF4": _by_codebook("nf4"),
    "NF4 + double": _by_codebook("nf4", double=True),
    "FP4": _by_codebook("fp4"),
    "int4": _by_codebook("int4"),
    "Q4_0": Way(even_marks, 4 + 16 / 32),
    "Q4_1": Way(partial(even_marks, offset=True), 4 + 32 / 32),
    "Q4_0, blocks of 64": Way(partial(even_marks, blocksize=64), 4 + 16 / 64),
    "Q4_1, blocks of 64": Way(partial(even_marks, blocksize=64, offset=True), 4 + 32 / 64),
}
SIXTEEN = Way(lambda W: W.bfloat16().to(W.dtype), 16)


@contextmanager
def rounded(model: Any, weights: Mapping[str, Tensor], way: Way) -> Iterator[None]:
    """While the block runs, each named weight of `model` is what `way` gives back of it; afterwards it is `weights` again."""
    try:
        with torch.no_grad():
            for name, W in weights.items():
                model.get_submodule(name).weight.copy_(way.back(W))
        yield
    finally:
        with torch.no_grad():
            for name, W in weights.items():
                model.get_submodule(name).weight.copy_(W)
