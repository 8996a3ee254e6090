"""How long a text others trained on their cards, beside what the planner says for the same model and settings."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ... import memory
from ...course import published
from ...memory.bill import GIB

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
    """The longest text on one card, in tokens: published, and planned."""

    gib: int
    published: int
    hf: int  # with the loss of that time: transformers copied the logits to shift them until version 4.49
    today: int
    course: int


def llama_31_8b() -> memory.Shape:
    """Llama-3.1-8B by its published sizes."""
    from transformers import AutoConfig

    return memory.shape_of(AutoConfig.for_model("llama", **SIZES))._replace(name="Llama-3.1-8B")


def hugging_face() -> dict[int, int]:
    """A card's size in GiB, and the longest text in tokens, as Unsloth measured Hugging Face's recipe."""
    return {int(gib): tokens for gib, tokens in published.column("unsloth.hugging_face").items()}


def full_bf16() -> float:
    """LLaMA-Factory's estimate of a 7B's full fine-tuning in bf16, in GB."""
    return published.figure("full_fine_tuning.bf16_gb")


def contexts() -> list[Context]:
    """One row per card of the published table."""
    shape = llama_31_8b()
    course, today = (memory.Job("qlora", 32, recipe=recipe) for recipe in memory.RECIPES)
    jobs = (replace(today, loss="shifted"), today, course)
    return [
        Context(gib, tokens, *(memory.longest(shape, job, gib * GIB) for job in jobs))
        for gib, tokens in hugging_face().items()
    ]


def bytes_per_token(rows: list[Context], of: str) -> float:
    """How many bytes one more token takes, by the longest texts of the smallest and the largest card."""
    first, last = rows[0], rows[-1]
    return (last.gib - first.gib) * GIB / (getattr(last, of) - getattr(first, of))
