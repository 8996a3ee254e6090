"""Shapes that a plan knows by name and nothing here builds: models of 70 billion numbers, by their published configs."""

from __future__ import annotations

from typing import Any

from .. import models

_70B: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
}
LARGE: dict[str, dict[str, Any]] = {
    "Llama-2-70B": _70B | {"vocab_size": 32000, "max_position_embeddings": 4096},
    "Llama-3-70B": _70B | {"vocab_size": 128256, "max_position_embeddings": 8192},
}
KNOWN = models.SHAPES | LARGE
