"""A batch as one row of tokens: no padding, and what every conversation begins with only once.

shared prefix │ own tokens of conversation 1 │ own tokens of conversation 2 │ …

And the loss where there is one: logits exist only for supervised tokens, and only a chunk of them at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ..models.frozen import Frozen
from ..tasks import IGNORED, Encoded


class Rows:
    """The tokens of a batch, each once, and where they belong.

    `input_ids` and `positions` (tokens,): what is read, and its place in its own conversation. The first `shared` of
    them belong to every conversation. `supervised` (answers,) says which tokens are followed by a token that is taught,
    and `labels` (answers,) which one. `grid` (conversations × longest) finds each conversation's own tokens among those
    after the prefix, and `inside` (own tokens,) is the way back. `sees` (longest × prefix and longest) says which keys
    a token may look at behind a shared prefix; None where there is none, and each looks at its own past.

    Every size is known from `batch` alone, so `device` may be "meta".
    """

    def __init__(self, batch: Sequence[Encoded], device: torch.device, share: bool = True) -> None:
        parts = [part for one in batch for part in conversations(one)]
        self.shared = common_prefix(parts) if share else 0
        own = [len(ids) - self.shared for ids, _ in parts]
        self.input_ids = torch.cat([parts[0][0][: self.shared], *(ids[self.shared :] for ids, _ in parts)]).to(device)
        places = [torch.arange(self.shared), *(torch.arange(self.shared, len(ids)) for ids, _ in parts)]
        self.positions = torch.cat(places).to(device)

        nothing = torch.full((self.shared,), IGNORED)
        following = torch.cat([nothing, *(_next(labels)[self.shared :] for _, labels in parts)])
        supervised = (following != IGNORED).nonzero().flatten()
        self.supervised, self.labels = supervised.to(device), following[supervised].to(device)

        lengths, starts = torch.tensor(own), torch.tensor([0, *own[:-1]]).cumsum(0)
        within = torch.arange(max(own)) < lengths[:, None]
        # a place without a token points at token 0: nothing that counts looks there
        self.grid = ((starts[:, None] + torch.arange(max(own))) * within).to(device)
        self.inside = within.flatten().nonzero().flatten().to(device)
        self.sees = None
        if self.shared:
            prefix = torch.ones(max(own), self.shared, dtype=torch.bool, device=device)
            self.sees = torch.cat([prefix, past(max(own), device)], dim=1)

    def tensors(self) -> list[Tensor]:
        """All that a batch takes before anything is computed."""
        return [value for value in vars(self).values() if isinstance(value, Tensor)]


def past(length: int, device: torch.device) -> Tensor:
    """length × length: each token sees itself and those before it."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def conversations(row: Encoded) -> list[tuple[Tensor, Tensor]]:
    """(input_ids, labels) of each conversation in a row: of the only one, or of those that `tasks.pack` put there.

    Raises ValueError when positions do not count 0, 1, 2 … within each conversation.
    """
    if row.position_ids is None:
        return [(row.input_ids, row.labels)]
    bounds = [*(row.position_ids == 0).nonzero().flatten().tolist(), len(row.input_ids)]
    counted = torch.cat([torch.arange(bounds[0]) - 1, *(torch.arange(b - a) for a, b in pairwise(bounds))])
    if not counted.equal(row.position_ids):
        raise ValueError(
            "a packed row's position_ids must count 0, 1, 2 … within each conversation, as tasks.pack does."
        )
    return [(row.input_ids[a:b], row.labels[a:b]) for a, b in pairwise(bounds)]


def common_prefix(parts: Sequence[tuple[Tensor, Tensor]]) -> int:
    """How many tokens all conversations begin with, as far as nothing is taught there; 0 for a single one."""
    if len(parts) == 1:
        return 0
    # the last token before an answer predicts its first, and each conversation keeps a token of its own
    most = min(min(int(_next(labels).ne(IGNORED).int().argmax()), len(ids) - 1) for ids, labels in parts)
    heads = torch.stack([ids[:most] for ids, _ in parts])
    return int((heads == heads[0]).all(0).long().cumprod(0).sum())


def _next(labels: Tensor) -> Tensor:
    """For each token the label of the one that follows: that is what it predicts."""
    return torch.cat([labels[1:], labels.new_full((1,), IGNORED)])


# Supervised tokens whose logits exist at once: 128 × 49,152 of them in fp32 are 25 MB.
CHUNK = 128


class HeadLoss(torch.autograd.Function):
    """Mean cross-entropy of h·Eᵀ (answers × vocabulary) against labels (answers,), for a frozen head E.

    E learns nothing, so each chunk's gradient with respect to h is found at once, while its logits are there.
    """

    @staticmethod
    def forward(ctx: Any, h: Tensor, E: Frozen, labels: Tensor, chunk: int = CHUNK) -> Tensor:
        gradient, losses = torch.zeros_like(h), h.new_empty(len(h), dtype=_wide(h))
        for part, wanted, out, loss in zip(*(x.split(chunk) for x in (h, labels, gradient, losses)), strict=True):
            loss.copy_(_losses(part, E, wanted, out))
        ctx.save_for_backward(gradient.div_(len(labels)))
        return losses.mean()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.saved_tensors[0] * grad.to(ctx.saved_tensors[0].dtype), None, None, None


def _losses(h: Tensor, E: Frozen, labels: Tensor, gradient: Tensor) -> Tensor:
    """The cross-entropy of each row of h·Eᵀ against its label; the gradient of their sum is added to `gradient`."""
    logits = E.product(h)
    p = logits.softmax(-1, dtype=_wide(h))
    # log Σ exp(logits) by way of the likeliest token, whose p cannot underflow
    likeliest, place = p.max(-1, keepdim=True)
    total = logits.gather(1, place) - likeliest.log()
    losses = total - logits.gather(1, labels[:, None])
    p[torch.arange(len(labels), device=h.device), labels] -= 1
    E.add_back(gradient, p.to(h.dtype))
    return losses[:, 0]


def _wide(h: Tensor) -> torch.dtype:
    """At least 32 bits."""
    return torch.promote_types(h.dtype, torch.float32)
