"""Preference pairs: one question, the answer that is preferred, and the one that is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ..paths import course_root
from .conversations import Encoded, Task, encode
from .jsonl import Fault, check_messages, read_lines, shown

PAIR = '{"prompt": "…", "chosen": "…", "rejected": "…"}'


class Preference(NamedTuple):
    """A question with either answer, as tokens; of both, the answer and its end alone are supervised."""

    chosen: Encoded
    rejected: Encoded


def load_pairs(name: str = "preferences") -> Task:
    """The pairs of `data/<name>`, to train on and held out by topic. Raises FileNotFoundError or ValueError."""
    folder = course_root() / "data" / name
    return Task(name, read_pairs(folder / "train_pairs.jsonl"), read_pairs(folder / "held_out_pairs.jsonl"))


def read_pairs(path: Path | str) -> list[dict[str, Any]]:
    """Pairs from a file in UTF-8, a line each: PAIR, and whatever else it says, such as its topic.

    Raises ValueError that names each bad line (see `read_lines`): a field is missing, empty or no text, or both answers
    are the same.
    """
    return read_lines(path, check_pair, PAIR)


def check_pair(pair: dict[str, Any]) -> None:
    """Raise Fault unless `pair` is a question with two answers that differ."""
    if "messages" in pair and not {"chosen", "rejected"} & pair.keys():
        raise Fault("unknown_layout", f"this is a chat with one answer: a preference needs two, {PAIR}.")
    for field in ("prompt", "chosen", "rejected"):
        if field not in pair:
            raise Fault("unknown_layout", f'it has no "{field}": expected {PAIR}.')
        if not isinstance(pair[field], str):
            raise Fault("no_text", f'"{field}" must be text, such as "Hello.", not {shown(pair[field])}.')
        if not pair[field].strip():
            raise Fault("empty_answer", f'"{field}" is empty: write it, or leave the line out.')
    if pair["chosen"].strip() == pair["rejected"].strip():
        raise Fault(
            "same_answers", '"chosen" and "rejected" are the same, so nothing is preferred: change one of them.'
        )
    for side in ("chosen", "rejected"):
        check_messages(_chat(pair, side)["messages"])


def encode_pair(tokenizer: Any, pair: dict[str, Any]) -> Preference:
    """Tokens and labels of both answers, each as a chat of one question. Raises ValueError as `encode` does."""
    return Preference(*(encode(tokenizer, _chat(pair, side)) for side in ("chosen", "rejected")))


def _chat(pair: dict[str, Any], side: str) -> dict[str, Any]:
    asked, answered = {"role": "user", "content": pair["prompt"]}, {"role": "assistant", "content": pair[side]}
    return {"messages": [asked, answered]}
