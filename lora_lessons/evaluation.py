"""What a model is worth after training: held-out loss on the task, perplexity on text it should not forget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from . import models, tasks


@torch.no_grad()
def held_out_loss(model: Any, examples: Sequence[tasks.Encoded], batch_size: int = 16, autocast: bool = False) -> float:
    """Mean cross-entropy per supervised token, in nats: 0 is certainty, ln(vocabulary) is a blind guess.

    With autocast the products are computed in bf16, as in training with it.
    """
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    for start in range(0, len(examples), batch_size):
        batch = tasks.collate(examples[start : start + batch_size], pad_id=0)
        labels = batch["labels"][:, 1:].flatten()  # token i + 1 is what the model should have said after token i
        inputs = {k: batch[k].to(model.device) for k in ("input_ids", "attention_mask")}
        with torch.autocast(model.device.type, torch.bfloat16, enabled=autocast):
            logits = model(**inputs).logits[:, :-1]
        taught = labels != tasks.IGNORED
        total += cross_entropy(logits.flatten(0, 1)[taught].float().cpu(), labels[taught], reduction="sum").item()
        count += int(taught.sum())
    model.train(was_training)
    return total / count


@torch.no_grad()
def perplexity(base: models.Base, text: str, window: int = 256) -> float:
    """exp(mean cross-entropy per token) on `text`, read in windows: the size of the choice the model still faces.

    Raises ValueError when the text is too short to predict anything.
    """
    ids = base.tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"][0]
    windows = [w for w in ids.split(window) if len(w) > 1]
    if not windows:
        raise ValueError("perplexity needs a text of at least two tokens.")
    total = 0.0
    for one in windows:
        logits = base.model(one[None, :-1].to(base.model.device)).logits[0].float().cpu()
        total += cross_entropy(logits, one[1:], reduction="sum").item()
    return math.exp(total / sum(len(w) - 1 for w in windows))
