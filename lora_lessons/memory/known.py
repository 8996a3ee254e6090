"""Shapes that a plan knows by name and nothing here builds, by their published configs."""

from __future__ import annotations

import difflib
import re
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
PLANNED: dict[str, dict[str, Any]] = {
    "Llama-3-8B": {  # meta-llama/Meta-Llama-3-8B; torchtune's llama3_8b has the same sizes
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "tie_word_embeddings": False,
        "vocab_size": 128256,
        "max_position_embeddings": 8192,
    },
    "Llama-2-70B": _70B | {"vocab_size": 32000, "max_position_embeddings": 4096},
    "Llama-3-70B": _70B | {"vocab_size": 128256, "max_position_embeddings": 8192},
}
KNOWN = models.SHAPES | PLANNED


def by_another_spelling(name: str) -> str:
    """The name in KNOWN that `name` is but for case, spaces, dashes and dots; "" where it is none."""
    return next((known for known in KNOWN if _plain(known) == _plain(name)), "")


def nearest(name: str) -> list[str]:
    """The names in KNOWN that `name` may mean, the nearest first."""
    plain = {_plain(known): known for known in KNOWN}
    begins = [known for short, known in plain.items() if _plain(name).startswith(short)]
    close = difflib.get_close_matches(_plain(name), plain, n=2, cutoff=0.75)
    return list(dict.fromkeys([*begins, *(plain[short] for short in close)]))


def _plain(name: str) -> str:
    return re.sub(r"[\s._-]", "", name.lower())
