"""The ledger: bytes that a training run must hold. Today its fixed part, from parameter counts alone.

Activations, logits and the allocator's slack grow with batch and sequence length and come on top.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor

GB, GIB = 1e9, 2**30  # bytes; this course writes GB and means 1e9

# What a card holds, in GiB: sold as "24 GB", built as 24 GiB. Error correction keeps a sixteenth of a T4's and an L4's.
CARDS: dict[str, float] = {
    "RTX 3060": 12, "T4": 15, "L4": 22.5, "RTX 3090": 24, "RTX 4090": 24, "RTX 5090": 32,
    "A100 40": 40, "A100 80": 80, "H100": 80, "H200": 141,
}  # fmt: skip

BASE_BYTES = {"fp32": 4.0, "bf16": 2.0, "nf4": 4.127 / 8}  # a frozen number; nf4 with double quantization
FULL = {"full fp32": 4, "full bf16": 2}  # bytes of each of the four; mixed precision holds fp32 and computes in bf16
METHODS = (*FULL, "lora", "qlora")


class Bill(NamedTuple):
    """Bytes by what they hold; `total` is their sum. Under full fine-tuning the base is itself what trains."""

    base: float
    adapters: float
    gradients: float
    optimizer: float

    @property
    def total(self) -> float:
        return sum(self)


def state(parameters: int, method: str, trainable: int = 0, unquantized: int = 0) -> Bill:
    """The fixed part of training a model of `parameters` numbers by one of METHODS.

    LoRA keeps the base in bf16 and `trainable` adapter numbers in fp32; QLoRA keeps the base in NF4 but for
    `unquantized` numbers (embeddings, head, norms) in bf16 (QLoRA paper, sections 2 and 3).
    Raises ValueError for another method, or LoRA with nothing to train.
    """
    if method in FULL:
        each = FULL[method] * parameters
        return Bill(each, 0, each, 2 * each)
    if method not in METHODS:
        raise ValueError(f"method {method!r} is not known: choose one of {', '.join(METHODS)}.")
    if trainable < 1:
        raise ValueError(f"{method} trains adapters: say how many numbers they hold (trainable = r·(d + k), summed).")
    packed = parameters - unquantized if method == "qlora" else 0
    base = packed * BASE_BYTES["nf4"] + (parameters - packed) * BASE_BYTES["bf16"]
    return Bill(base, 4 * trainable, 4 * trainable, 8 * trainable)


def card_bytes(card: str) -> float:
    """What a card of CARDS holds, before the driver and a screen take their part. Raises ValueError for another."""
    if card not in CARDS:
        raise ValueError(f"no card is named {card!r}: choose from {', '.join(CARDS)}.")
    return CARDS[card] * GIB


def held_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes really held by the storages behind an iterable of tensors, shared storage counted once."""
    seen = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(seen.values())
