"""Conversations of different lengths in one rectangle: padded, or packed side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .conversations import IGNORED, Encoded

# What the names of such layers contain in transformers' configurations.
STATEFUL = ("linear", "mamba", "recurrent", "conv", "hybrid")
# Models whose configurations do not list their layers.
RECURRENT = ("mamba", "mamba2", "falcon_mamba", "rwkv", "xlstm")


def collate(batch: Sequence[Encoded], pad_id: int) -> dict[str, Tensor]:
    """Pad on the right to one rectangle: input_ids, labels, and attention_mask or position_ids, each (batch × longest).

    Packed rows carry position_ids in place of the mask; their padding is one more conversation, of which nothing is
    taught.
    """
    ids = [one.input_ids for one in batch]
    made = {
        "input_ids": pad_sequence(ids, batch_first=True, padding_value=pad_id),
        "labels": pad_sequence([one.labels for one in batch], batch_first=True, padding_value=IGNORED),
    }
    if all(one.position_ids is None for one in batch):
        return made | {"attention_mask": pad_sequence([torch.ones_like(one) for one in ids], batch_first=True)}
    longest = made["input_ids"].shape[1]
    positions = [torch.arange(len(one.input_ids)) if one.position_ids is None else one.position_ids for one in batch]
    filled = [torch.cat([p, torch.arange(longest - len(p))]) for p in positions]
    return made | {"position_ids": torch.stack(filled)}


def pack(examples: Sequence[Encoded], seq: int, config: Any = None) -> list[Encoded]:
    """Conversations side by side in rows of at most `seq` tokens, in their order: hardly a token is padding.

    Where no cache is used, as in training, transformers sees from position_ids where one ends, and lets no token look
    into another conversation: the loss of a packed row is that of its parts. Give the model's `config`, too: layers that
    carry a running state from token to token, such as linear attention, do not look at position_ids.
    Raises ValueError for such a model, and when a conversation is longer than `seq`.
    """
    if kinds := running_states(config):
        raise ValueError(
            f"this model has layers of {', '.join(kinds)}, which carry a running state from one conversation of a packed "
            "row into the next: train it on padded batches (tasks.collate without tasks.pack)."
        )
    if longest := max((len(one.input_ids) for one in examples if len(one.input_ids) > seq), default=0):
        raise ValueError(f"a conversation has {longest} tokens and a row {seq}: choose a longer row, or leave it out.")
    rows: list[list[Encoded]] = [[]]
    for one in examples:
        if sum(len(other.input_ids) for other in rows[-1]) + len(one.input_ids) > seq:
            rows.append([])
        rows[-1].append(one)
    return [_row(parts) for parts in rows if parts]


def running_states(config: Any) -> list[str]:
    """The kinds of layer in a model's configuration that carry a running state along a row; empty for attention alone."""
    text = getattr(config, "text_config", None) or config
    listed = [getattr(text, name, None) for name in ("layer_types", "layers_block_type")]
    kinds = {str(kind) for kind in next((one for one in listed if one), ())}
    if not kinds and getattr(text, "model_type", None) in RECURRENT:
        kinds = {text.model_type}
    return sorted(kind for kind in kinds if kind in RECURRENT or any(part in kind for part in STATEFUL))


def _row(parts: Sequence[Encoded]) -> Encoded:
    """One row (length of all `parts`,) with their tokens, labels and positions."""
    labels = torch.cat([one.labels for one in parts])
    starts = torch.tensor([len(one.input_ids) for one in parts]).cumsum(0)[:-1]
    # the last token of one conversation does not predict the first of the next
    labels[starts] = IGNORED
    positions = torch.cat([torch.arange(len(one.input_ids)) for one in parts])
    return Encoded(torch.cat([one.input_ids for one in parts]), labels, positions)
