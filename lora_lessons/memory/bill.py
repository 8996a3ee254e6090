"""The ledger: what a training run holds in memory, line by line. Predict before, measure after, reconcile.

A bill describes one moment, the fullest of a training step. Its first six lines stand all through training (gradients
from the way back on); activations and logits grow with every token. `prediction` predicts them, `tape` measures them.
How many copies of the logits a loss makes is a library's choice, and on a long text the largest line of the bill: a
logit for each token and each word of the vocabulary, for Llama 3 half a megabyte per token in 32 bits.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from . import kernels

GB, GIB = 1e9, 2**30  # bytes; this course writes GB and means 1e9

# Bits of a frozen number in NF4 (QLoRA paper, section 3): 4, and one scale for 64 numbers, itself kept in 8 bits with
# one fp32 scale for 256 scales: 8/64 + 32/(64·256) = 0.127.
NF4_BITS, SCALE_BITS = 4.0, 0.127
BASE_BYTES = {"fp32": 4.0, "bf16": 2.0, "nf4": (NF4_BITS + SCALE_BITS) / 8}  # nf4 with double quantization
FULL = {"full fp32": 4, "full bf16": 2}  # bytes of each of the four; mixed precision holds fp32 and computes in bf16
METHODS = (*FULL, "lora", "qlora")

# What a card spends beside the tensors. Assumed, until `lora-lessons bench memory` has measured the card.
CONTEXT_BYTES = 0.5 * GB  # CUDA's context and the kernels it loads
SLACK = 0.03  # of the tensors' bytes: what PyTorch's allocator rounds up and cannot hand out again


# What each size of a bill is called, and in which order, wherever a bill is drawn, printed or said; indented:
# of the weights.
LINES = {
    "weights": "weights",
    "base": "  linear layers",
    "quantization": "  NF4's scales",
    "rest": "  embeddings, head, norms",
    "adapters": "adapters",
    "gradients": "gradients",
    "optimizer": "moments",
    "activations": "activations",
    "logits": "logits, loss",
    "working": "working",
    "overhead": "driver, slack",
}


class Bill(NamedTuple):
    """Bytes by what they hold; `total` is their sum. Under full fine-tuning the weights are themselves what trains."""

    base: float  # weights of the blocks' linear layers, 16-bit, 32-bit or packed NF4, and of experts, which NF4 leaves
    quantization: float = 0.0  # NF4's scales (absmax), themselves quantized, and codebooks
    rest: float = 0.0  # embeddings, output head, norms, biases: never quantized
    adapters: float = 0.0
    gradients: float = 0.0
    optimizer: float = 0.0  # AdamW's two moments
    activations: float = 0.0  # kept by the forward pass for the way back
    logits: float = 0.0  # scores of every next token, and what the loss makes of them
    working: float = 0.0  # what lives for a moment: attention, a dequantised weight, a block computed again
    overhead: float = 0.0  # on a card: CUDA's context and the allocator's slack; 0 on a processor

    @property
    def total(self) -> float:
        return sum(self)

    @property
    def weights(self) -> float:
        """All that the model itself takes."""
        return self.base + self.quantization + self.rest

    @property
    def fixed(self) -> float:
        """What does not depend on the text: weights, adapters, gradients, moments."""
        return self.weights + self.adapters + self.gradients + self.optimizer

    @property
    def lines(self) -> dict[str, float]:
        """Bytes by LINES: the weights, what they consist of, and the rest."""
        return {name: getattr(self, field) for field, name in LINES.items()}

    @property
    def parts(self) -> dict[str, float]:
        """The eight of `lines` that sum to `total`: the weights are one."""
        return {name: size for name, size in self.lines.items() if not name.startswith(" ")}


def state(parameters: int, method: str, trainable: int = 0, unquantized: int = 0) -> Bill:
    """The fixed part of training a model of `parameters` numbers by one of METHODS.

    LoRA keeps the base in bf16 and `trainable` adapter numbers in fp32; QLoRA keeps the base in NF4 but for
    `unquantized` numbers (embeddings, head, norms) in bf16 (QLoRA paper, sections 2 and 3).
    Raises ValueError for another method, or LoRA with nothing to train.
    """
    if method in FULL:
        each = float(FULL[method])
        blocks, rest = each * (parameters - unquantized), each * unquantized
        return Bill(blocks, rest=rest, gradients=each * parameters, optimizer=2 * each * parameters)
    if method not in METHODS:
        raise ValueError(f"method {method!r} is not known: choose one of {', '.join(METHODS)}.")
    if trainable < 1:
        raise ValueError(f"{method} trains adapters: say how many numbers they hold (trainable = r·(d + k), summed).")
    numbers = parameters - unquantized
    bits, scales = (NF4_BITS, SCALE_BITS) if method == "qlora" else (8 * BASE_BYTES["bf16"], 0.0)
    rest = unquantized * BASE_BYTES["bf16"]
    return Bill(numbers * bits / 8, numbers * scales / 8, rest, 4 * trainable, 4 * trainable, 8 * trainable)


def held_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes really held by the storages behind an iterable of tensors, shared storage counted once."""
    seen = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(seen.values())


class Line(NamedTuple):
    """One line of the ledger, predicted beside measured, in bytes."""

    name: str
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """Relative to what was measured; 0 where both are nothing, infinite where only the measurement is."""
        if self.predicted == self.measured:
            return 0.0
        return self.predicted / self.measured - 1 if self.measured else float("inf")


def reconcile(predicted: Bill, measured: Bill) -> list[Line]:
    """Every line that either bill has, and the total last."""
    both = zip(predicted.lines.items(), measured.lines.values(), strict=True)
    lines = [Line(name, p, m) for (name, p), m in both if p or m]
    return [*lines, Line("total", predicted.total, measured.total)]


FUSED = ("fused", "liger")  # the second with Liger's norms and MLPs as well (`kernels`)
LOSSES = ("whole", "shifted", "chunked", *FUSED)
CHUNKS = 8
AT_ONCE = 256  # tokens whose logits a fused loss holds at once: as many as TRL 1.7 took; what 1.16 takes is as large
NO_LABEL = -100


def use(model: Any, loss: str) -> None:
    """From now on `model` takes its loss in the way of that name; "whole" is what transformers does today.

    Raises ValueError for a model that takes its loss in its own way.
    """
    if loss != "whole":
        if "loss_function" not in inspect.unwrap(type(model).forward).__code__.co_names:
            raise ValueError(f"a {model.config.model_type} takes its loss in its own way: plan it with loss = 'whole'.")
        if loss in FUSED:
            head = model.get_output_embeddings()
            head.forward = lambda hidden: hidden  # the loss multiplies by the head itself
            model.loss_function = partial(fused, head)
            if loss == "liger":
                kernels.use(model)
        else:
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
    """The mean cross-entropy of `logits` (tokens × words) and `labels` (tokens);
    the gradient takes the logits' place."""

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


def fused(head: Any, logits: Tensor, labels: Tensor, vocab_size: int, **_: Any) -> Tensor:
    """As in TRL's SFTTrainer since 1.7, Unsloth and Liger: the logits of a few tokens at a time, and never all of them.

    `logits` are none yet: what `head` would read.
    """
    labels = F.pad(labels, (0, 1), value=NO_LABEL)[..., 1:]
    supervised = logits.reshape(-1, logits.shape[-1]).clone()  # TRL picks those that have a label; here all have one
    return _ByTheHead.apply(supervised, head.weight, labels.reshape(-1))


class _ByTheHead(torch.autograd.Function):
    """The mean cross-entropy of h·Wᵀ (tokens × words) and `labels`; the logits are worked out again on the way back."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, W: Tensor, labels: Tensor) -> Tensor:
        ctx.save_for_backward(h, W, labels)
        ctx.tokens = (labels != NO_LABEL).sum()
        sums = [F.cross_entropy(_scores(part, W).float(), these, reduction="sum") for part, these in _few(h, labels)]
        return torch.stack(sums).sum() / ctx.tokens

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None]:
        h, W, labels = ctx.saved_tensors
        for_h = torch.zeros_like(h, dtype=torch.float32)
        for_W = torch.zeros_like(W, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        for part, these, into in _few(h, labels, for_h):
            logits = _scores(part, W)
            _put_gradient(logits, these, grads[0] / ctx.tokens)
            into += logits @ W
            if for_W is not None:
                for_W += logits.T @ part.to(logits.dtype)
        return for_h.to(h.dtype), None if for_W is None else for_W.to(W.dtype), None


def _scores(h: Tensor, W: Tensor) -> Tensor:
    return h.to(W.dtype) @ W.T


def _few(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """AT_ONCE tokens after another; on "meta" the first stand for all."""
    if tensors[0].is_meta:
        return iter([tuple(tensor[:AT_ONCE] for tensor in tensors)])
    return zip(*(tensor.split(AT_ONCE) for tensor in tensors), strict=True)


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
