"""The way that a job takes to its loss: transformers' own, or the fast path itself, which tells the tape where it is.

A plan runs the very `FastPath` that training will run, so that nothing here has to know what it keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..fast import FastPath, why_not
from ..fast.rows import Rows
from ..lora import LoRALinear
from ..tasks import Encoded
from . import attention
from .job import Job
from .tape import Moments

ASKED = "the job asks for it"


def why_plain(model: Any, job: Job, card: bool) -> str:
    """Why the loop trains `model`, built for `job`, the plain way, in a few words; empty where it takes the fast path."""
    if not job.fast or job.recipe != "course" or job.loss != "whole":
        return ASKED
    return why_not(model, "cuda" if card else "cpu")


def taped(model: Any, job: Job, card: bool) -> TapedPath | None:
    """The fast path of `model`, built for `job`; None where it trains the plain way."""
    if why_plain(model, job, card):
        return None
    return TapedPath(model, torch.bfloat16 if job.autocast else None, on="cuda" if card else "cpu")


def texts(job: Job) -> list[Encoded]:
    """The batch of a plan, which has no data: every token is supervised, so that the texts can share no beginning."""
    ids = torch.zeros(job.seq, dtype=torch.long)
    return [Encoded(ids, ids)] * job.batch_size


class TapedPath(FastPath):
    """The fast path, which says at which moment of a step it is, while a tape asks for that."""

    moments: Moments | None = None

    def block(self, x: Tensor, block: nn.Module, cos: Tensor, sin: Tensor, rows: Rows) -> Tensor:
        with attention.Fused():  # here, because a checkpointed block runs once more on the way back
            out = super().block(x, block, cos, sin, rows)
        if self.moments:
            self.moments.after(block, out)
        return out

    def head(self, x: Tensor, rows: Rows) -> Tensor:
        if self.moments:
            self.moments.at_the_head(x)
        return super().head(x, rows)

    def copies(self) -> Iterator[tuple[str, Tensor]]:
        """The (kind, weight) pairs that it holds beside the model's own, because it multiplies in fewer bits."""
        for layer in self.layers():
            weight = (layer.base_layer if isinstance(layer, LoRALinear) else layer).weight
            if weight.is_floating_point() and weight.dtype != self.dtype:
                yield "rest" if layer is self.model.lm_head else "base", self.weights[id(layer)]()
