"""The control of lessons 01, 06 and 07: the same measurements on a base that nobody rounded before us.

`python -m workshop record encoder` ranks the ways to round and trains on four bases; lessons measure a part of it live.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from statistics import fmean
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .. import lowrank, quant, tasks
from ..lowrank import relative_error
from ..models import Encoder
from . import recordings


class Way(NamedTuple):
    """A way to round: what comes back of a weight, and the bits a parameter takes, its share of the scales included."""

    back: Callable[[Tensor], Tensor]
    bits: float


def even_marks(W: Tensor, blocksize: int = 32, offset: bool = False) -> Tensor:
    """W on 16 even marks per block and back, as llama.cpp's Q4_0 and (with `offset`) Q4_1 round, for any block size.

    Q4_0: marks −8 … 7 times a scale, so that the block's largest weight, whatever its sign, lies on mark −8. Q4_1: 16
    marks from the block's lowest weight to its highest. Scale and offset are kept in 16 bits.
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


@contextmanager
def rounded(model: Any, weights: Mapping[str, Tensor], way: Way) -> Iterator[None]:
    """While the block runs, each named weight of `model` is what `way` gives back of it;
    afterwards it is `weights` again."""
    try:
        with torch.no_grad():
            for name, W in weights.items():
                model.get_submodule(name).weight.copy_(way.back(W))
        yield
    finally:
        with torch.no_grad():
            for name, W in weights.items():
                model.get_submodule(name).weight.copy_(W)


def sentences(limit: int | None = None) -> list[str]:
    """The sentences of the course's general text, the first `limit` of them."""
    parts = re.split(r"(?<=[.!?])\s+", " ".join(tasks.general_text().split()))
    return [one for one in parts if one][:limit]


def weights(encoder: Encoder) -> dict[str, Tensor]:
    """A copy of each weight that is rounded, by name."""
    return {name: encoder.model.get_submodule(name).weight.detach().clone() for name in encoder.linears}


@torch.no_grad()
def embeddings(encoder: Encoder, texts: Sequence[str]) -> Tensor:
    """One row per text, 32 texts at a time."""
    return torch.cat([encoder.embed(texts[i : i + 32]) for i in range(0, len(texts), 32)])


def rank(
    encoder: Encoder, texts: Sequence[str] | None = None, ways: Mapping[str, Way] = WAYS
) -> dict[str, dict[str, Any]]:
    """For each way: bits, the mean relative error of the weights, and 1 − cosine between each text's two embeddings.

    `ways` are by name, `texts` by default every sentence of the general text.
    The encoder's weights are afterwards what they were.
    """
    texts = sentences() if texts is None else texts
    before, kept = embeddings(encoder, texts), weights(encoder)
    return {name: _measure(encoder, kept, way, before, texts) for name, way in ways.items()}


def _measure(
    encoder: Encoder, kept: Mapping[str, Tensor], way: Way, before: Tensor, texts: Sequence[str]
) -> dict[str, Any]:
    with rounded(encoder.model, kept, way):
        errors = [relative_error(W, encoder.model.get_submodule(name).weight) for name, W in kept.items()]
        moved = 1 - torch.cosine_similarity(before, embeddings(encoder, texts))
    return {"bits": way.bits, "error": fmean(errors), "moved": [round(one, 6) for one in moved.tolist()]}


NAME = "never_rounded"


def recorded() -> dict[str, Any]:
    """What was measured on the encoder. Raises FileNotFoundError when the checkout lacks it."""
    return recordings.recorded(NAME)


def spectra(found: Mapping[str, Tensor]) -> dict[str, float]:
    """The share of full rank that keeps 90% of the energy, mean over the weights;
    and of normal noise of their shapes."""

    def share(W: Tensor) -> float:
        S = lowrank.svd(W).S
        return lowrank.rank_for_energy(S, 0.9) / len(S)

    noise = {tuple(W.shape): share(lowrank.gaussian_like(W)) for W in found.values()}
    return {
        "share": fmean(share(W) for W in found.values()),
        "noise": fmean(noise[tuple(W.shape)] for W in found.values()),
    }


def dose(W: Tensor, times: float, seed: int = 0) -> Tensor:
    """Noise as rounding to Q4_1 makes it, `times` as strong: up to half the distance between two marks, each way."""
    blocks = W.detach().reshape(-1, 32)
    apart = (blocks.amax(1, keepdim=True) - blocks.amin(1, keepdim=True)) / 15
    noise = torch.rand(blocks.shape, generator=torch.Generator().manual_seed(seed)) - 0.5
    return (times * apart * noise).reshape(W.shape)


def directions(W: Tensor, doses: Sequence[float], seed: int = 0) -> list[int]:
    """How many directions hold 90% of the energy of W after each dose."""
    return [lowrank.rank_for_energy(lowrank.svd(W.detach() + dose(W, times, seed)).S, 0.9) for times in doses]
