"""The way that a job takes to its loss: transformers' own, or the fast path itself, which tells the tape what it keeps.

On the meta device attention keeps what the fused kernels of a card would, where PyTorch's own choice keeps more.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from ..fast import FastPath, why_not
from ..fast.backward import Whole
from ..fast.rows import Rows
from ..lora import LoRALinear
from ..tasks import Encoded
from .job import Job
from .tape import Moments

ASKED = "the job asks for it"


def why_plain(model: Any, job: Job, card: bool) -> str:
    """Why the loop trains `model`, built for `job`, the plain way, in a few words;
    empty where it takes the fast path."""
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
        with Fused():  # here, because a checkpointed block runs once more on the way back
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
            frozen, weight = (
                self.frozen[id(layer)],
                (layer.base_layer if isinstance(layer, LoRALinear) else layer).weight,
            )
            if isinstance(frozen, Whole) and weight.is_floating_point() and weight.dtype != self.dtype:
                yield "rest" if layer is self.model.lm_head else "base", frozen.weight()


@cache
def register(card: bool) -> str:
    """Make the attention of a card, or of a processor, known to transformers; return its name there."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    name = f"fused_on_a_{'card' if card else 'processor'}"

    attend = partial(_attend, card)  # a def around it would hold the tensors for longer
    attend.__module__ = __name__  # whose it is: the fast path asks
    AttentionInterface.register(name, attend)
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
    out = _fused(query, key, value, attention_mask, scale=scaling)
    return out.transpose(1, 2).contiguous(), None


def _fused(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = True,
    scale: float | None = None,
) -> Tensor:
    """`scaled_dot_product_attention` by the fused kernel: of a mask of yes and no it makes one of numbers."""
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = torch.where(attn_mask, query.new_zeros(()), query.new_full((), -torch.inf))
    if query.shape[-1] != value.shape[-1]:
        out: Tensor = _Fused.apply(query, key, value, attn_mask)
        return out
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    attended: Tensor = kernel(query, key, value, 0.0, attn_mask is None, attn_mask=attn_mask, scale=scale)[0]
    return attended


class Fused(TorchFunctionMode):
    """While it is entered, whoever asks PyTorch for attention on the meta device gets the fused kernel."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is scaled_dot_product_attention and args[0].is_meta:
            settings = dict(kwargs or {})
            settings.pop("is_causal", None)  # without a mask it is
            return _fused(*args, **settings)
        return func(*args, **(kwargs or {}))


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
