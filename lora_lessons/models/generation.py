"""What a base says: greedy answers to user messages, one or many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .chat_template import rendered
from .finite import check_finite
from .loading import Base


def chat(base: Base, prompt: str, max_new_tokens: int = 60, system: str | None = None) -> str:
    """The model's greedy answer to one user message, as text."""
    return answers(base, [prompt], max_new_tokens, system)[0]


def answers(
    base: Base,
    prompts: Sequence[str],
    max_new_tokens: int = 60,
    system: str | None = None,
    batch_size: int = 16,
    before: Sequence[Mapping[str, str]] = (),
    cut: str = "",
) -> list[str]:
    """The model's greedy answers to user messages, `batch_size` at a time, the shorter prompts padded on the left.

    `before` are turns of the conversation that every message follows, such as examples of good answers. An answer that
    `max_new_tokens` cut off ends with `cut`.
    Raises ValueError where the model's chat template refuses such a conversation, ModelError where NaN or infinity in
    its weights leaves it nothing to say.
    """
    import torch

    def checked(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        check_finite(base.model, scores.amax(-1), "The scores of the next word")  # a word may have been ruled out: −∞
        return scores

    head: list[Mapping[str, Any]] = [
        *[{"role": "system", "content": system}] * (system is not None),
        *map(dict, before),
    ]
    texts = [rendered(base.tokenizer, [*head, {"role": "user", "content": prompt}]) for prompt in prompts]
    was_training, said = base.model.training, []
    given = base.model.generation_config.eos_token_id
    ends = [base.tokenizer.eos_token_id, *(given if isinstance(given, list) else [given])]
    base.model.eval()
    for start in range(0, len(texts), batch_size):
        ids = [
            base.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts[start : start + batch_size]
        ]
        longest, end = max(map(len, ids)), base.tokenizer.eos_token_id
        padded = torch.tensor([[end] * (longest - len(one)) + one for one in ids], device=base.model.device)
        mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in ids], device=base.model.device)
        with torch.no_grad():
            out = base.model.generate(
                input_ids=padded,
                attention_mask=mask,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=end,
                logits_processor=[checked],
            )
        new = out[:, longest:]
        over = [any(token in ends for token in row) for row in new.tolist()]
        heard = base.tokenizer.batch_decode(new, skip_special_tokens=True)
        said += [text.strip() + cut * (not ended) for text, ended in zip(heard, over, strict=True)]
    base.model.train(was_training)
    return said
