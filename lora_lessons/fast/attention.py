"""Attention over one row of many conversations: each sees the shared prefix and its own past, and nobody else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from .rows import Rows


def attend(q: Tensor, k: Tensor, v: Tensor, rows: Rows) -> Tensor:
    """softmax(q·kᵀ/√D)·v within each conversation: q (tokens × heads × D), k and v (tokens × fewer heads × D).

    Returns tokens × (heads·D). Padding exists only here, between attention's own two gathers.
    """
    prefix, own = zip(*(x.split([rows.shared, len(x) - rows.shared]) for x in (q, k, v)), strict=True)
    Q, K, V = (_by_head(Rectangle.apply(x, rows)) for x in own)
    if not rows.shared:
        return _flat(scaled_dot_product_attention(Q, K, V, is_causal=True, enable_gqa=True), rows).flatten(1)
    pQ, pK, pV = (_by_head(x[None]) for x in prefix)
    first = scaled_dot_product_attention(pQ, pK, pV, is_causal=True, enable_gqa=True)
    K, V = (torch.cat([p.expand(len(x), -1, -1, -1), x], dim=2) for p, x in ((pK, K), (pV, V)))
    rest = scaled_dot_product_attention(Q, K, V, attn_mask=rows.mask, enable_gqa=True)
    return torch.cat([first[0].transpose(0, 1), _flat(rest, rows)]).flatten(1)


def _by_head(x: Tensor) -> Tensor:
    """conversations × tokens × heads × D, as attention wants it: heads before tokens."""
    return x.transpose(1, 2)


def _flat(out: Tensor, rows: Rows) -> Tensor:
    """conversations × heads × tokens × D back to own tokens × heads × D."""
    flat: Tensor = Flat.apply(out.transpose(1, 2).flatten(0, 1), rows)
    return flat


class Rectangle(torch.autograd.Function):
    """own tokens × … → conversations × longest × …; both ways are plain lookups, because no token stands there twice."""

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
