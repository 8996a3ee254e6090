"""How far each way to round moves the weights, and how far it moves what the encoder says of a sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from ... import tasks
from ...lowrank import relative_error
from ...models import Encoder
from .ways import WAYS, Way, rounded


def sentences(limit: int | None = None) -> list[str]:
    """The sentences of the course's general text, the first `limit` of them."""
    found = re.split(r"(?<=[.!?])\s+", " ".join(tasks.general_text().split()))
    return [one for one in found if one][:limit]


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

    `ways` are by name, `texts` by default every sentence of the general text. The encoder's weights are afterwards what they were.
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
