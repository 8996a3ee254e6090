"""A tokenizer that puts BOS before every text, as those of Llama, Mistral and Gemma do; SmolLM2's own adds none."""

from __future__ import annotations

import copy
from typing import Any


def bos_first(tokenizer: Any) -> Any:
    """A copy of `tokenizer`, a fast one of transformers, that puts its BOS before every text; the given one stays as it is."""
    from tokenizers.processors import TemplateProcessing

    other, bos = copy.deepcopy(tokenizer), tokenizer.bos_token
    other.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.bos_token_id)]
    )
    return other
