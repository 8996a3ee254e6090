"""The usual Hugging Face recipe: what PEFT and transformers' Trainer add to a step, as the ledger counts it.

`prepare_model_for_kbit_training` keeps in 32 bits whatever NF4 does not pack: embeddings, output head, norms. `Trainer`
with bf16=True then runs the model under autocast, which copies those weights to 16 bits at each use, and hands the
logits out a second time, in 32 bits. On the meta device PyTorch's autocast does nothing, so it is played here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import ModelError
from . import tape
from .job import Job

# What autocast computes in 16 bits, by name; of these, what decoders call (PyTorch's list of ops, "Automatic Mixed Precision").
IN_16_BITS = {
    "linear",
    "matmul",
    "__matmul__",
    "mm",
    "bmm",
    "addmm",
    "baddbmm",
    "einsum",
    "scaled_dot_product_attention",
    "_scaled_dot_product_flash_attention_for_cpu",  # the fused kernel that stands for a card's on "meta"
}


class Autocast(TorchFunctionMode):
    """torch.autocast in bf16 for tensors on the meta device, with its cache of the trained weights' copies."""

    def __init__(self, card: bool) -> None:
        super().__init__()
        self.card = card
        self.copies: dict[int, Tensor] = {}

    def __enter__(self) -> Any:
        self.before = torch.is_autocast_enabled("cuda")
        torch.set_autocast_enabled("cuda", self.card)  # PEFT's layers ask for a card's, whatever the device
        return super().__enter__()

    def __exit__(self, *why: Any) -> None:
        self.copies.clear()
        torch.set_autocast_enabled("cuda", self.before)
        super().__exit__(*why)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in IN_16_BITS:
            args = tuple(self._cast(value) for value in args)
            kwargs = {name: self._cast(value) for name, value in kwargs.items()}
        return func(*args, **kwargs)

    def _cast(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.dtype != torch.float32:
            return value
        if not (value.requires_grad and value.is_leaf):
            return value.to(torch.bfloat16)
        if id(value) not in self.copies:
            self.copies[id(value)] = value.to(torch.bfloat16)
        return self.copies[id(value)]


def autocast(device: str, card: bool) -> AbstractContextManager[Any]:
    """bf16 autocast for a model on `device`; on "meta" as a card's or a processor's."""
    return Autocast(card) if device == "meta" else torch.autocast(device, torch.bfloat16)


def checkpointing(job: Job, device: str, card: bool) -> dict[str, Any]:
    """How transformers checkpoints each block; on "meta" the second pass must be told of the autocast."""
    how: dict[str, Any] = {"use_reentrant": False}
    if (job.recipe == "hf" or (job.autocast and job.dtype == "fp32")) and device == "meta":
        how["context_fn"] = lambda: (nullcontext(), autocast(device, card))
    return how


def prepare(name: str, model: nn.Module) -> None:
    """PEFT's prepare_model_for_kbit_training, on a model whose blocks are packed already.

    Raises ModelError for a mixture of experts: NF4 leaves its experts unpacked, so that all of them would become 32-bit.
    """
    from peft import prepare_model_for_kbit_training

    if any(tape.experts(module) for module in model.modules()):
        raise ModelError(
            f"{name} is a mixture of experts, which the usual Hugging Face recipe does not train in 4 bits: "
            "prepare_model_for_kbit_training would turn every expert into 32 bits. Plan it with the course's recipe."
        )
    prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)


def train_by_trainer(model: nn.Module, device: str, card: bool) -> None:
    """From now on `model` is called as accelerate's Accelerator.prepare calls it under bf16=True."""
    from accelerate.utils.operations import convert_to_fp32

    compute_in_16_bits(model, device, card)
    inner: Callable[..., Any] = model.forward
    model.forward = lambda *args, **kwargs: convert_to_fp32(inner(*args, **kwargs))


def compute_in_16_bits(model: nn.Module, device: str, card: bool) -> None:
    """From now on `model` is called under autocast, as the course's loop does it on the plain way."""
    inner: Callable[..., Any] = model.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        with _quiet(), autocast(device, card):
            return inner(*args, **kwargs)

    model.forward = forward


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # checkpoint asks for a card's autocast, where there is no card
        yield
