"""The data of `data/`: conversations, the chat format, and which tokens are supervised (only the answer and its end)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..paths import course_root

IGNORED = -100  # the label that cross-entropy skips


class Task(NamedTuple):
    """A data set: conversations to learn from, and others, on other topics, to be judged by."""

    name: str
    train: list[dict[str, Any]]
    held_out: list[dict[str, Any]]


class Encoded(NamedTuple):
    """One conversation as tokens: input_ids (length,) and labels (length,), IGNORED where nothing is taught.

    A row of several (see `pack`) also says where each token stands in its own conversation.
    """

    input_ids: Tensor
    labels: Tensor
    position_ids: Tensor | None = None  # (length,): 0, 1, 2 … and 0 again where the next conversation begins


def load_task(name: str = "persona") -> Task:
    """The task `data/<name>`, train and held-out. Raises FileNotFoundError or ValueError with what to do next."""
    folder = course_root() / "data" / name
    if not (folder / "train.jsonl").is_file():
        known = sorted(p.parent.name for p in folder.parent.glob("*/train.jsonl"))
        raise FileNotFoundError(f"no task named {name!r}: choose from {', '.join(known)}.")
    return Task(name, read_jsonl(folder / "train.jsonl"), read_jsonl(folder / "held_out.jsonl"))


def general_text() -> str:
    """Plain English that belongs to no task, written for the course: what forgetting is measured on."""
    return (course_root() / "data" / "held_out_text" / "general.txt").read_text(encoding="utf-8")


def everyday_questions() -> list[str]:
    """Questions that belong to no task, written for the course: what format drift is looked for in."""
    text = (course_root() / "data" / "held_out_text" / "questions.txt").read_text(encoding="utf-8")
    return text.strip().splitlines()


def read_jsonl(path: Path | str) -> list[dict[str, Any]]:
    """Conversations from a JSON-lines file; each line holds {"messages": [{"role": …, "content": …}, …]}.

    Raises ValueError naming the line when one is not JSON, has no messages, or does not end with the assistant.
    """
    examples = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            example = json.loads(line)
            last = example["messages"][-1]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ValueError(f'{path}, line {number}: expected {{"messages": [...]}} as JSON ({error}).') from error
        if last.get("role") != "assistant" or not str(last.get("content", "")).strip():
            raise ValueError(f"{path}, line {number}: the last message must be the assistant's answer, and not empty.")
        examples.append(example)
    if not examples:
        raise ValueError(f"{path} holds no examples.")
    return examples


def encode(tokenizer: Any, example: dict[str, Any]) -> Encoded:
    """Tokens and labels of one conversation in the model's own chat template.

    Supervised: the last answer and the token that ends it. A model that never sees its end token never learns to stop.
    """
    *context, answer = example["messages"]
    prompt = tokenizer.apply_chat_template(context, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*context, answer], tokenize=False)
    if not whole.startswith(prompt):
        raise ValueError(
            "this chat template rewrites earlier turns, so the answer cannot be told apart: use another template."
        )
    taught = whole[len(prompt) :].rstrip()
    if not taught.endswith(tokenizer.eos_token):
        taught += tokenizer.eos_token
    prompt_ids, answer_ids = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, taught))
    return Encoded(torch.tensor(prompt_ids + answer_ids), torch.tensor([IGNORED] * len(prompt_ids) + answer_ids))


def pack(examples: Sequence[Encoded], seq: int) -> list[Encoded]:
    """Conversations side by side in rows of at most `seq` tokens, in their order: hardly a token is padding.

    Where no cache is used, as in training, transformers sees from position_ids where one ends, and lets no token look
    into another conversation: the loss of a packed row is that of its parts. Raises ValueError when a conversation is longer than `seq`.
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
    labels = torch.cat([one.labels for one in parts])
    starts = torch.tensor([len(one.input_ids) for one in parts]).cumsum(0)[:-1]
    labels[starts] = IGNORED  # the last token of one conversation does not predict the first of the next
    positions = torch.cat([torch.arange(len(one.input_ids)) for one in parts])
    return Encoded(torch.cat([one.input_ids for one in parts]), labels, positions)


def collate(batch: Sequence[Encoded], pad_id: int) -> dict[str, Tensor]:
    """Pad on the right to one rectangle: input_ids, labels, and attention_mask or position_ids, each (batch × longest).

    Packed rows carry position_ids in place of the mask; their padding is one more conversation, of which nothing is taught.
    """
    from torch.nn.utils.rnn import pad_sequence

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
