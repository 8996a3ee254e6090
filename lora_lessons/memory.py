"""The ledger: bytes that a training run must hold. Today its fixed part, from parameter counts alone.

Activations, logits and the allocator's slack grow with batch and sequence length and come on top.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor

GB = 1e9  # cards and checkpoints are sold in powers of ten; 1 GiB is 2**30 bytes

# Bytes a parameter: weight, gradient, AdamW's two moments.
FULL_16BIT = (2, 2, 8)  # bf16 weights and gradients, fp32 moments
BASE_BYTES = {"fp32": 4.0, "bf16": 2.0, "nf4": 4.127 / 8}  # nf4 with double quantization: 4.127 bits

CARDS = {
    "T4": 16, "RTX 3060": 12, "RTX 3090": 24, "RTX 4090": 24, "RTX 5090": 32, "L4": 24,
    "A100 40": 40, "A100 80": 80, "H100": 80, "H200": 141,
}  # fmt: skip  # GB as sold


class Bill(NamedTuple):
    """Bytes by what they hold; `total` is their sum."""

    base: float
    adapters: float
    gradients: float
    optimizer: float

    @property
    def total(self) -> float:
        return sum(self)


def state(parameters: int, method: str, trainable: int = 0, unquantized: int = 0) -> Bill:
    """The fixed part of training a model of `parameters` numbers by "full", "lora" or "qlora".

    LoRA keeps the base in bf16 and `trainable` adapter numbers in fp32; QLoRA keeps the base in NF4 but for
    `unquantized` numbers (embeddings, head, norms) in bf16 (QLoRA paper, sections 2 and 3).
    Raises ValueError for another method.
    """
    if method == "full":
        weight, gradient, moments = FULL_16BIT
        return Bill(parameters * weight, 0, parameters * gradient, parameters * moments)
    if method not in ("lora", "qlora"):
        raise ValueError(f"method {method!r} is not known: choose 'full', 'lora' or 'qlora'.")
    packed = parameters - unquantized if method == "qlora" else 0
    base = packed * BASE_BYTES["nf4"] + (parameters - packed) * BASE_BYTES["bf16"]
    return Bill(base, 4 * trainable, 4 * trainable, 8 * trainable)


def held_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes really held by the storages behind an iterable of tensors, shared storage counted once."""
    seen = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(seen.values())
