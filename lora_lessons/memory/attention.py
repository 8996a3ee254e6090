"""Attention on the meta device: what the fused kernels keep, where PyTorch's own choice would keep every score.

A fused kernel keeps queries, keys, values, the mask if there is one, its output and a log-sum-exp for each query. With
a mask, which a text beyond a sliding window needs, a copy of it in the queries' dtype is kept by every block.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import torch
from torch import Tensor


@cache
def register(card: bool) -> str:
    """Make the attention of a card, or of a processor, known to transformers; return its name there."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    name = f"fused_on_a_{'card' if card else 'processor'}"
    AttentionInterface.register(name, partial(_attend, card))
    AttentionMaskInterface.register(name, sdpa_mask)
    return name


def _attend(
    card: bool,
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **other: Any,
) -> tuple[Tensor, None]:
    """transformers' sdpa attention (query, key, value: batch × heads × tokens × size) with the kernel told by name."""
    from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward

    # A processor's fused kernel knows neither dropout nor values of another size than the keys; a card's knows both.
    sizes_differ = query.shape[-1] != value.shape[-1]
    learned = other.get("position_bias") is not None or (attention_mask is not None and attention_mask.requires_grad)
    if learned or (not card and (dropout or sizes_differ)):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **other
        )
    groups = getattr(module, "num_key_value_groups", 1)
    if groups > 1 and (attention_mask is not None or sizes_differ):
        key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        attention_mask = torch.where(attention_mask, query.new_zeros(()), query.new_full((), -torch.inf))
    if sizes_differ:
        out = _Fused.apply(query, key, value, attention_mask)
    else:
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        causal = attention_mask is None
        out = kernel(query, key, value, 0.0, causal, attn_mask=attention_mask, scale=scaling)[0]
    return out.transpose(1, 2).contiguous(), None


class _Fused(torch.autograd.Function):
    """A fused kernel without its numbers, for values of another size than the keys (DeepSeek's latent attention)."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        out = query.new_empty(*query.shape[:-1], value.shape[-1])
        log_sum_exp = query.new_empty(query.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(query, key, value, mask, out, log_sum_exp)
        return out

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *_ = ctx.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value), None
