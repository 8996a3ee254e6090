"""The data of `data/`: conversations, the chat format, and which tokens are supervised (only the answer and its end)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .files import course_root

IGNORED = -100  # the label that cross-entropy skips


class Task(NamedTuple):
    """A data set: conversations to learn from, and others, on other topics, to be judged by."""

    name: str
    train: list[dict[str, Any]]
    held_out: list[dict[str, Any]]


class Encoded(NamedTuple):
    """One conversation as tokens: input_ids (length,) and labels (length,), IGNORED where nothing is taught."""

    input_ids: Tensor
    labels: Tensor


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


def collate(batch: Sequence[Encoded], pad_id: int) -> dict[str, Tensor]:
    """Pad on the right to one rectangle: input_ids, attention_mask and labels, each (batch × longest)."""
    from torch.nn.utils.rnn import pad_sequence

    ids = [one.input_ids for one in batch]
    return {
        "input_ids": pad_sequence(ids, batch_first=True, padding_value=pad_id),
        "attention_mask": pad_sequence([torch.ones_like(one) for one in ids], batch_first=True),
        "labels": pad_sequence([one.labels for one in batch], batch_first=True, padding_value=IGNORED),
    }
