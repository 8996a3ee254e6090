"""The rungs of lesson 12: the same loss of the same batch, each time with one kind of work less.

Each function builds, for a model, a function from a batch to its mean loss per supervised token. `LADDER` has them in
order, from PEFT's layers in transformers' code to the course's fast path. What stands first is what the lesson's
exercises ask for. And where a step's time goes: PyTorch's profiler, its hundreds of operations sorted into four kinds.
"""

from __future__ import annotations

import copy
import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ... import lora
from ...fast import FastPath
from ...tasks import IGNORED, Encoded, collate
from ...training import losses, no_cache

Batch = Sequence[Encoded]
Loss = Callable[[Batch], Tensor]


def taught_loss(h: Tensor, E: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over what is taught, and no logits anywhere else: h (tokens × d),
    the head E (vocabulary × d)."""
    following = labels[1:]
    taught = following != IGNORED
    return cross_entropy(h[:-1][taught] @ E.T, following[taught])


def packed(parts: Batch) -> dict[str, Tensor]:
    """The conversations side by side in one row for model(**row), each as if it were alone."""
    positions = torch.cat([torch.arange(len(one.input_ids)) for one in parts])
    labels = torch.cat([one.labels for one in parts])
    labels[positions == 0] = IGNORED
    row = {"input_ids": torch.cat([one.input_ids for one in parts]), "labels": labels, "position_ids": positions}
    return {name: t[None] for name, t in row.items()}


def with_peft(model: Any) -> Any:
    """PEFT's model around the very same weights, A and B as `model`'s: what is trained is one and the same."""
    from peft import LoraConfig, get_peft_model

    layers = dict(lora.lora_layers(model))
    twin = copy.deepcopy(model, {id(t): t for t in (*model.parameters(), *model.buffers())})
    lora.detach(twin)
    r, alpha = next((layer.r, int(layer.lora_alpha)) for layer in layers.values())
    wrapped = get_peft_model(
        twin, LoraConfig(r=r, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    for name, layer in layers.items():
        theirs: Any = twin.get_submodule(name)
        theirs.lora_A["default"].weight, theirs.lora_B["default"].weight = layer.lora_A, layer.lora_B
    return wrapped


def plain(model: Any) -> Loss:
    """The step of transformers' Trainer: PEFT's layers in transformers' own code, on a padded batch,
    without a cache."""
    wrapped = with_peft(model)
    loss_of = losses.plain(wrapped, autocast=_in_16_bits(model))

    def loss(batch: Batch) -> Tensor:
        with no_cache(wrapped.get_base_model()):
            return loss_of(batch)

    return loss


def where_taught(loss_of: Callable[[Tensor, Tensor, Tensor], Tensor] = taught_loss) -> Callable[[Any], Loss]:
    """The same, with the loss of `loss_of` (hidden states, head, labels),
    which need not make logits for every token."""

    def make(model: Any) -> Loss:
        causal = with_peft(model).get_base_model()

        def loss(batch: Batch) -> Tensor:
            padded = {name: t.to(model.device) for name, t in collate(batch, pad_id=0).items()}
            labels = padded.pop("labels")
            with no_cache(causal), torch.autocast(model.device.type, torch.bfloat16, enabled=_in_16_bits(model)):
                h = causal.model(**padded).last_hidden_state
                return loss_of(h.flatten(0, 1), causal.lm_head.weight, labels.flatten())

        return loss

    return make


def blocks_written_out(model: Any) -> Loss:
    """The course's own block, its backward written out. Padding goes through it like any other token."""
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
    "Trainer's step with PEFT": plain,
    "Logits only where taught": where_taught(),
    "The way back by hand": blocks_written_out,
    "No padding": without_padding,
    "The shared prompt once": prompt_once,
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


def where_time_goes(loss_of: Callable[[], Tensor], seconds: float = 0.0) -> dict[str, float]:
    """Seconds of one forward and backward pass by kind; what no operation accounts for, such as Python, is the rest.

    A profiled pass takes longer than others, so only its shares are used: of `seconds`, or of a pass timed here.
    """
    # the profiler would tell of its start and end on stderr
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    if not seconds:
        _timed(loss_of)  # what is made once is made now
        seconds = _timed(loss_of)
    with torch.profiler.profile() as profile:
        profiled = _timed(loss_of)
    by_kind = dict.fromkeys(KINDS, 0.0)
    for event in profile.key_averages():
        spent = event.self_device_time_total if torch.cuda.is_available() else event.self_cpu_time_total
        by_kind[kind(event.key)] += spent / 1e6
    by_kind[REST] = max(0.0, profiled - sum(by_kind[one] for one in KINDS if one != REST))
    longer = seconds / sum(by_kind.values())
    return {one: longer * spent for one, spent in by_kind.items()}


def _timed(loss_of: Callable[[], Tensor]) -> float:
    """The seconds of one forward and backward pass."""
    start = time.perf_counter()
    loss_of().backward()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start
