"""Preference pairs: one question, the answer that is preferred, and the one that is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..paths import course_root
from .conversations import Encoded, Task, encode
from .jsonl import Fault, check_messages, read_lines, said, shown
from .templates import SHOWN_WITH

PAIR = '{"prompt": "…", "chosen": "…", "rejected": "…"}'
SIDES = ("chosen", "rejected")
_SAME = '"chosen" and "rejected" are the same, so nothing is preferred'


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
        raise Fault("same_answers", f"{_SAME}: change one of them.")
    for one in both(pair):
        check_messages(one["messages"])


def encode_pair(tokenizer: Any, pair: Mapping[str, Any]) -> Preference:
    """Tokens and labels of both answers, each behind the same prompt. Raises ValueError as `encode` does."""
    return Preference(*(encode(tokenizer, one) for one in both(pair)))


def is_pair(example: Mapping[str, Any]) -> bool:
    """Whether an example is a preference, and no conversation."""
    return {"chosen", "rejected"} <= example.keys()


def both(pair: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two conversations of a pair, that of the chosen answer first.

    What was answered before they part is the same in both, so it says nothing of what is preferred: its "weight" is 0.
    """
    prompt = [{**one, "weight": 0} if one["role"] == "assistant" else one for one in _turns(pair["prompt"], "user")]
    beside = {name: pair[name] for name in SHOWN_WITH if name in pair}
    chosen, rejected = ({**beside, "messages": [*prompt, *_turns(pair[side], "assistant")]} for side in SIDES)
    return chosen, rejected


def _turns(turns: Any, role: str) -> list[dict[str, Any]]:
    """A text as one message, or the messages that it is already."""
    return [{"role": role, "content": turns}] if isinstance(turns, str) else turns


def parted(chosen: Sequence[dict[str, Any]], rejected: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The prompt that two conversations share and what each says then, as lists of messages.

    Raises Fault where one of them is no conversation, where they are the same, or where they part at a question.
    """
    for side, messages in zip(SIDES, (chosen, rejected), strict=True):
        try:
            check_messages(messages)
        except Fault as fault:
            raise Fault(fault.code, f"of {side}, {fault}") from None
    one_way, other = ([(one["role"], said(one).strip()) for one in side] for side in (chosen, rejected))
    if one_way == other:
        raise Fault("same_answers", f"{_SAME}: change one of them, or take the line out.")
    at_most = min(len(one_way), len(other)) - 1
    shared = next((n for n in range(at_most) if one_way[n] != other[n]), at_most)
    if not shared or {one_way[shared][0], other[shared][0]} != {"assistant"}:
        reason = f"chosen and rejected differ before they answer, in message {shared + 1}"
        raise Fault("prompt_not_shared", f"{reason}: give both the same messages up to the two answers.")
    return {"prompt": list(chosen[:shared]), "chosen": list(chosen[shared:]), "rejected": list(rejected[shared:])}
