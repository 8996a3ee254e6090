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
    own = [_by_head(Rectangle.apply(x[rows.shared :], rows)) for x in (q, k, v)]
    if not rows.shared:
        out = scaled_dot_product_attention(*own, is_causal=True, enable_gqa=True)
        return Flat.apply(out.transpose(1, 2).flatten(0, 1), rows).flatten(1)
    prefix = [_by_head(x[None, : rows.shared]) for x in (q, k, v)]
    first = scaled_dot_product_attention(*prefix, is_causal=True, enable_gqa=True)
    keys, values = (
        torch.cat([a.expand(len(b), -1, -1, -1), b], dim=2) for a, b in zip(prefix[1:], own[1:], strict=True)
    )
    rest = scaled_dot_product_attention(own[0], keys, values, attn_mask=rows.mask, enable_gqa=True)
    flat = Flat.apply(rest.transpose(1, 2).flatten(0, 1), rows)
    return torch.cat([first[0].transpose(0, 1), flat]).flatten(1)


def _by_head(x: Tensor) -> Tensor:
    """conversations × tokens × heads × D, as attention wants it: heads before tokens."""
    return x.transpose(1, 2)


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
