"""Attention over one row of many conversations: each sees the shared prefix and its own past, and nobody else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from .rows import Rows, past

# Attention weights of one layer that may be kept, in bytes:
# 8 conversations of 100 tokens with 9 heads in bf16 are 1.4 MB.
KEPT = 4 * 2**20


def attend(q: Tensor, k: Tensor, v: Tensor, rows: Rows, on: str = "") -> Tensor:
    """softmax(q·kᵀ/√D)·v within each conversation: q (tokens × heads × D), k and v (tokens × fewer heads × D).

    Returns tokens × (heads·D). Padding exists only here, between attention's own two gathers. `on`: see `attention`.
    """
    prefix, own = zip(*(x.split([rows.shared, len(x) - rows.shared]) for x in (q, k, v)), strict=True)
    Q, K, V = (_by_head(Rectangle.apply(x, rows)) for x in own)
    if not rows.shared:
        return _flat(attention(Q, K, V, None, on), rows).flatten(1)
    pQ, pK, pV = (_by_head(x[None]) for x in prefix)
    first = attention(pQ, pK, pV, None, on)
    K, V = (torch.cat([p.expand(len(x), -1, -1, -1), x], dim=2) for p, x in ((pK, K), (pV, V)))
    return torch.cat([first[0].transpose(0, 1), _flat(attention(Q, K, V, rows.sees, on), rows)]).flatten(1)


def attention(Q: Tensor, K: Tensor, V: Tensor, sees: Tensor | None, on: str = "") -> Tensor:
    """softmax(Q·Kᵀ/√D)·V where `sees` (queries × keys) is true: Q, K, V are conversations × heads × tokens × D.

    Without `sees` each token sees itself and those before it: PyTorch's own attention then needs no mask, of which
    every block would keep one. Short texts on a processor take `ShortAttention`; PyTorch's own does not hold all of the
    weights at once. `on` ("cpu" or "cuda") says whose way to go where Q lies on neither.
    """
    weights = Q.shape[:3].numel() * K.shape[2] * Q.itemsize
    if (on or Q.device.type) == "cpu" and weights <= KEPT:
        weighed: Tensor = ShortAttention.apply(Q, K, V, past(Q.shape[2], Q.device) if sees is None else sees)
        return weighed
    K, V = (x.repeat_interleave(Q.shape[1] // x.shape[1], dim=1) for x in (K, V))
    return scaled_dot_product_attention(Q, K, V, attn_mask=sees, is_causal=sees is None)


class ShortAttention(torch.autograd.Function):
    """Attention in three products, and five on the way back; its weights (queries × keys) are kept."""

    @staticmethod
    def forward(ctx: Any, Q: Tensor, K: Tensor, V: Tensor, sees: Tensor) -> Tensor:
        ctx.shapes, ctx.scale = (Q.shape, K.shape), Q.shape[-1] ** -0.5
        # the heads that share keys and values lie below each other: one product serves them
        k, v = K.flatten(0, 1), V.flatten(0, 1)
        q = Q.reshape(len(k), -1, Q.shape[-1])
        scores = torch.bmm(q, k.transpose(1, 2)).mul_(ctx.scale)
        scores.unflatten(1, (-1, len(sees))).masked_fill_(~sees, -torch.inf)
        weights = scores.softmax(-1)
        ctx.save_for_backward(q, k, v, weights)
        return torch.bmm(weights, v).view(Q.shape)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q, k, v, weights = ctx.saved_tensors
        grad = grad.reshape(q.shape)
        dV = torch.bmm(weights.transpose(1, 2), grad)
        dW = torch.bmm(grad, v.transpose(1, 2))
        scores = torch._softmax_backward_data(dW, weights, -1, weights.dtype).mul_(ctx.scale)
        dQ, dK = torch.bmm(scores, k), torch.bmm(scores.transpose(1, 2), q)
        of_queries, of_keys = ctx.shapes
        return dQ.view(of_queries), dK.view(of_keys), dV.view(of_keys), None


def _by_head(x: Tensor) -> Tensor:
    """conversations × tokens × heads × D, as attention wants it: heads before tokens."""
    return x.transpose(1, 2)


def _flat(out: Tensor, rows: Rows) -> Tensor:
    """conversations × heads × tokens × D back to own tokens × heads × D."""
    flat: Tensor = Flat.apply(out.transpose(1, 2).flatten(0, 1), rows)
    return flat


class Rectangle(torch.autograd.Function):
    """own tokens × … → conversations × longest × …; both ways are plain lookups,
    because no token stands there twice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Rows) -> Tensor:
        ctx.rows = rows
        return x[rows.grid]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.flatten(0, 1)[ctx.rows.inside], None


class Flat(torch.autograd.Function):
    """(conversations·longest) × … → own tokens × …: the way back; padding gets no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Rows) -> Tensor:
        ctx.rows, ctx.places = rows, len(x)
        return x[rows.inside]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        padded = grad.new_zeros(ctx.places, *grad.shape[1:])
        padded[ctx.rows.inside] = grad
        return padded, None
