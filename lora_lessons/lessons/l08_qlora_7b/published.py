"""How long a text others trained on their cards, beside what the planner says for the same model and settings."""

from __future__ import annotations

from typing import NamedTuple

from ... import memory
from ...memory.bill import GIB

# Unsloth's benchmarks (docs.unsloth.ai): Hugging Face with FlashAttention-2, QLoRA on all linear layers of
# Llama-3.1-8B, r = 32, batch 1. A card's size in GiB, and the longest text in tokens.
HUGGING_FACE = {12: 932, 16: 2551, 24: 5789, 80: 28454}

SIZES = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
    "max_position_embeddings": 131072,
}


class Context(NamedTuple):
    """The longest text on one card, in tokens: published, and planned by each recipe."""

    gib: int
    published: int
    hf: int
    course: int


def llama_31_8b() -> memory.Shape:
    """Llama-3.1-8B by its published sizes."""
    from transformers import AutoConfig

    return memory.shape_of(AutoConfig.for_model("llama", **SIZES))._replace(name="Llama-3.1-8B")


def contexts() -> list[Context]:
    """One row per card of the published table."""
    shape = llama_31_8b()
    hf, course = (memory.Job("qlora", 32, recipe=recipe) for recipe in ("hf", "course"))
    return [
        Context(gib, tokens, memory.longest(shape, hf, gib * GIB), memory.longest(shape, course, gib * GIB))
        for gib, tokens in HUGGING_FACE.items()
    ]


def bytes_per_token(rows: list[Context], of: str) -> float:
    """How many bytes one more token takes, by the longest texts of the smallest and the largest card."""
    first, last = rows[0], rows[-1]
    return (last.gib - first.gib) * GIB / (getattr(last, of) - getattr(first, of))
