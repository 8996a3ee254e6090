"""How many copies of the logits the loss makes: a library's choice, and on a long text the largest line of the bill.

A logit for each token and each word of the vocabulary: for Llama 3, half a megabyte per token in 32 bits.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LOSSES = ("whole", "shifted", "chunked")
CHUNKS = 8
NO_LABEL = -100


def use(model: Any, loss: str) -> None:
    """From now on `model` takes its loss in the way of that name; "whole" is what transformers does today.

    Raises ValueError for a model that takes its loss in its own way.
    """
    if loss != "whole":
        if "loss_function" not in inspect.unwrap(type(model).forward).__code__.co_names:
            raise ValueError(f"a {model.config.model_type} takes its loss in its own way: plan it with loss = 'whole'.")
        model.loss_function = {"shifted": shifted, "chunked": chunked}[loss]


def shifted(logits: Tensor, labels: Tensor, vocab_size: int, **_: Any) -> Tensor:
    """As transformers did before version 4.49: without the last position, the 32-bit logits are copied once more."""
    in_32_bits = logits.float()
    copy = in_32_bits[..., :-1, :].contiguous()
    return F.cross_entropy(copy.view(-1, vocab_size), labels[..., 1:].reshape(-1))


def chunked(logits: Tensor, labels: Tensor, vocab_size: int, **_: Any) -> Tensor:
    """As in torchtune: 16-bit logits, of which an eighth at a time is in 32 bits."""
    labels = F.pad(labels, (0, 1), value=NO_LABEL)[..., 1:]
    return _InChunks.apply(logits.view(-1, vocab_size), labels.reshape(-1))


class _InChunks(torch.autograd.Function):
    """The mean cross-entropy of `logits` (tokens × words) and `labels` (tokens); the gradient takes the logits' place."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        ctx.save_for_backward(logits, labels)
        ctx.tokens = (labels != NO_LABEL).sum()
        sums = [F.cross_entropy(part.float(), these, reduction="sum") for part, these in _chunks(logits, labels)]
        return torch.stack(sums).sum() / ctx.tokens

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        logits, labels = ctx.saved_tensors
        for part, these in _chunks(logits, labels):
            _put_gradient(part, these, grads[0] / ctx.tokens)
        return logits, None


def _put_gradient(logits: Tensor, labels: Tensor, scale: Tensor) -> None:
    """softmax(logits) − one-hot(labels), times `scale`, in the place of `logits`; 0 where there is no label."""
    p = logits.float().softmax(-1)
    p.scatter_add_(-1, labels.clamp(min=0)[:, None], -torch.ones_like(p[:, :1]))
    logits.copy_(p.mul_((labels != NO_LABEL)[:, None] * scale))


def _chunks(logits: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """An eighth of the tokens after another.

    On "meta" an eighth of the words stands for it: it has as many bytes, and the number of tokens stays prime.
    """
    if logits.is_meta:
        return ((part, labels) for part in logits.chunk(CHUNKS, -1))
    return zip(logits.chunk(CHUNKS), labels.chunk(CHUNKS), strict=True)
