"""Shapes of real 7B models: to count on the meta device, or to fill with random weights in 4 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .loading import keep_trainable
from .precision import best_device, fast_dtype

if TYPE_CHECKING:
    import torch
    from torch import nn

# Real 7B architectures by their published configurations, for counting on the meta device (no weights).
SHAPES: dict[str, dict[str, Any]] = {
    "Llama-2-7B": {
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "vocab_size": 32000,
        "max_position_embeddings": 4096,
    },
    "Mistral-7B": {
        "model_type": "mistral",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 32000,
        "max_position_embeddings": 32768,
    },
    "Qwen2.5-7B": {
        "model_type": "qwen2",
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
        "max_position_embeddings": 32768,
    },
}


def shape(name: str) -> nn.Module:
    """A 7B of SHAPES on the meta device: every shape, no weights, no memory."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(_shape_config(name), trust_remote_code=False)


def _shape_config(name: str, **changed: Any) -> Any:
    from transformers import AutoConfig

    if name not in SHAPES:
        raise ValueError(f"no shape is named {name!r}: choose from {', '.join(SHAPES)}.")
    return AutoConfig.for_model(**SHAPES[name] | changed)


def random_base(
    name: str = "Qwen2.5-7B",
    precision: str = "nf4",
    device: str | None = None,
    compute_dtype: torch.dtype | None = None,
    seed: int = 0,
    **changed: Any,
) -> Any:
    """The architecture of SHAPES[name] with random weights in 4 bits: true memory and speed, no knowledge at all.

    `changed` replaces fields of its configuration, such as num_hidden_layers=2 for a quick look.
    Raises ValueError for an unknown shape or precision.
    """
    from .four_bit import Format
    from .random_weights import random_model

    device = device or best_device()
    form = Format(precision, compute_dtype or fast_dtype(device), device)
    return keep_trainable(random_model(_shape_config(name, **changed), form, seed))
