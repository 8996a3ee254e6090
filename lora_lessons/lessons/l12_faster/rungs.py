"""The rungs of lesson 12: the same loss of the same batch, each time with one kind of work less.

Each function builds, for a model, a function from a batch to its mean loss per supervised token. `LADDER` has them in
order, from transformers' own code to the course's fast path. And where a step's time goes: PyTorch's profiler, its
hundreds of operations sorted into four kinds.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ... import lora
from ...fast import FastPath
from ...fast.backward import LoRAProducts
from ...fast.rows import HeadLoss
from ...tasks import IGNORED, Encoded, collate
from ...training import losses

Batch = Sequence[Encoded]
Loss = Callable[[Batch], Tensor]


def plain(model: Any) -> Loss:
    """Transformers' own code on a padded batch, with the course's LoRA layers."""
    return losses.plain(model, autocast=_in_16_bits(model))


def head_where_taught(model: Any) -> Loss:
    """Logits exist only for tokens that are followed by a token of an answer."""

    def loss(batch: Batch) -> Tensor:
        padded = {name: t.to(model.device) for name, t in collate(batch, pad_id=0).items()}
        following = padded.pop("labels")[:, 1:]
        taught = following != IGNORED
        with torch.autocast(model.device.type, torch.bfloat16, enabled=_in_16_bits(model)):
            h = model.model(**padded).last_hidden_state[:, :-1]
        return HeadLoss.apply(h[taught], model.lm_head.weight, following[taught])

    return loss


def lora_written_out(model: Any) -> Loss:
    """As before, and every adapted layer keeps only its input x and A·x for the way back."""
    head_only = head_where_taught(model)

    def loss(batch: Batch) -> Tensor:
        with _layers_written_out(model):
            return head_only(batch)

    return loss


@contextmanager
def _layers_written_out(model: Any) -> Iterator[None]:
    """While the block runs, adapted layers go through `fast.backward.LoRAProducts`."""
    layers: list[Any] = [layer for _, layer in lora.lora_layers(model)]
    for layer in layers:
        layer.forward = partial(_product, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _product(layer: Any, x: Tensor) -> Tensor:
    base, flat = layer.base_layer, x.flatten(0, -2)
    (h,) = LoRAProducts.apply(flat, [lambda: base.weight], [base.bias], [layer.scaling], layer.lora_A, layer.lora_B)
    return h.unflatten(0, x.shape[:-1])


def blocks_written_out(model: Any) -> Loss:
    """The course's own block: norms, attention and SwiGLU written out, too. Padding goes through it like any other token."""
    path = FastPath(model, share_prefix=False)
    return lambda batch: path.loss(padded(batch))


def padded(batch: Batch) -> list[Encoded]:
    """The conversations, each as long as the longest: padding is token 0, and nothing is taught there."""
    longest = max(len(one.input_ids) for one in batch)

    def filled(t: Tensor, value: int) -> Tensor:
        return torch.cat([t, t.new_full((longest - len(t),), value)])

    return [Encoded(filled(one.input_ids, 0), filled(one.labels, IGNORED)) for one in batch]


def without_padding(model: Any) -> Loss:
    """The conversations side by side in one row, each token once; attention keeps them apart."""
    return FastPath(model, share_prefix=False).loss


def prompt_once(model: Any) -> Loss:
    """The tokens that all conversations begin with go through the model once: the whole fast path."""
    return FastPath(model).loss


def _in_16_bits(model: Any) -> bool:
    """Whether the base is kept in bfloat16: then what is multiplied is, too, while A and B stay in fp32."""
    return bool(model.dtype == torch.bfloat16)


# What changes on each rung, one thing at a time.
LADDER: dict[str, Callable[[Any], Loss]] = {
    "plain": plain,
    "head only where taught": head_where_taught,
    "LoRA's backward written out": lora_written_out,
    "the whole block, too": blocks_written_out,
    "no padding": without_padding,
    "the shared prompt once": prompt_once,
}


PRODUCTS, ATTENTION, MOVING, REST = KINDS = ("matrix products", "attention", "moving numbers", "everything else")

_MULTIPLY = {"mm", "addmm", "addmm_", "bmm", "baddbmm", "baddbmm_", "mkldnn_linear", "_addmm_activation"}
# They only say how numbers already in memory are to be read, or hand the work on to another operation.
_TOUCH_NOTHING = re.compile(
    r"(_unsafe_)?view|_?reshape(_alias)?|t|transpose|permute|expand|as_strided|slice|select|narrow|(un)?squeeze"
    r"|split(_with_sizes)?|chunk|unbind|(un)?flatten|detach|alias|(new_)?empty(_like|_strided)?|(new_)?zeros(_like)?"
    r"|(new_)?ones(_like)?|lift_fresh|result_type|_?to(_copy)?|resolve_(conj|neg)|contiguous|clone|item|is_nonzero"
    r"|_local_scalar_dense|matmul|linear|scaled_dot_product_attention"
)


def kind(operation: str) -> str:
    """Which of KINDS an operation belongs to, by the profiler's name for it (such as aten::mm)."""
    library, _, name = operation.partition("::")
    if library != "aten" or _TOUCH_NOTHING.fullmatch(name):
        return REST
    if "scaled_dot_product" in name or "flash_attention" in name:
        return ATTENTION
    return PRODUCTS if name in _MULTIPLY else MOVING


def where_time_goes(loss_of: Callable[[], Tensor]) -> dict[str, float]:
    """Seconds of one forward and backward pass by kind; what no operation accounts for, such as Python, is the rest."""
    # the profiler would tell of its start and end on stderr
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    loss_of().backward()  # what is made once is made now
    with torch.profiler.profile() as profile:
        start = time.perf_counter()
        loss_of().backward()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    by_kind = dict.fromkeys(KINDS, 0.0)
    for event in profile.key_averages():
        spent = event.self_device_time_total if torch.cuda.is_available() else event.self_cpu_time_total
        by_kind[kind(event.key)] += spent / 1e6
    by_kind[REST] = max(0.0, seconds - sum(by_kind[one] for one in KINDS if one != REST))
    return by_kind
