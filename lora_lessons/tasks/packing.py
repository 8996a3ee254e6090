"""Conversations of different lengths in one rectangle: padded, or packed side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .conversations import IGNORED, Encoded


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


def pack(examples: Sequence[Encoded], seq: int) -> list[Encoded]:
    """Conversations side by side in rows of at most `seq` tokens, in their order: hardly a token is padding.

    Where no cache is used, as in training, transformers sees from position_ids where one ends, and lets no token look
    into another conversation: the loss of a packed row is that of its parts. Raises ValueError when a conversation is
    longer than `seq`.
    """
    if longest := max((len(one.input_ids) for one in examples if len(one.input_ids) > seq), default=0):
        raise ValueError(f"a conversation has {longest} tokens and a row {seq}: choose a longer row, or leave it out.")
    rows: list[list[Encoded]] = [[]]
    for one in examples:
        if sum(len(other.input_ids) for other in rows[-1]) + len(one.input_ids) > seq:
            rows.append([])
        rows[-1].append(one)
    return [_row(parts) for parts in rows if parts]


def _row(parts: Sequence[Encoded]) -> Encoded:
    """One row (length of all `parts`,) with their tokens, labels and positions."""
    labels = torch.cat([one.labels for one in parts])
    starts = torch.tensor([len(one.input_ids) for one in parts]).cumsum(0)[:-1]
    # the last token of one conversation does not predict the first of the next
    labels[starts] = IGNORED
    positions = torch.cat([torch.arange(len(one.input_ids)) for one in parts])
    return Encoded(torch.cat([one.input_ids for one in parts]), labels, positions)
