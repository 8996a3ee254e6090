"""The layouts that training files have, made into one: a conversation in {"messages": [...]}."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from ..jsonl import CHAT, Fault, check_messages, shown

# How ShareGPT and its followers call the roles.
SPEAKERS = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant", "model": "assistant"}
KNOWN = f'{CHAT}, {{"conversations": [...]}}, prompt and completion, or instruction and output'


class Layout(NamedTuple):
    """A way to write a conversation: its name, the fields it must have, those it may have, and how it is read."""

    name: str
    needs: tuple[str, ...]
    may: tuple[str, ...]
    read: Callable[[dict[str, Any]], Any]


def _chat(record: dict[str, Any]) -> Any:
    return record["messages"]


def _sharegpt(record: dict[str, Any]) -> Any:
    turns = record["conversations"]
    if not isinstance(turns, list):
        return turns
    first = _system(record)
    return first + [_said(turn) for turn in turns]


def _said(turn: Any) -> Any:
    if not isinstance(turn, dict) or not {"from", "value"} <= turn.keys():
        return turn
    speaker = turn["from"]
    return {"role": SPEAKERS.get(speaker, speaker) if isinstance(speaker, str) else speaker, "content": turn["value"]}


def _pair(question: str, answer: str) -> Callable[[dict[str, Any]], Any]:
    """A question and an answer under these names: as texts, or as lists of messages, as TRL writes them too."""

    def read(record: dict[str, Any]) -> Any:
        asked, said = record[question], record[answer]
        if isinstance(asked, list) and isinstance(said, list):
            return asked + said
        return [*_system(record), {"role": "user", "content": asked}, {"role": "assistant", "content": said}]

    return read


def _instruction(besides: str, answer: str) -> Callable[[dict[str, Any]], Any]:
    """An instruction and what stands beside it, with an empty line between them, are the question."""

    def read(record: dict[str, Any]) -> Any:
        asked, more = record["instruction"], record.get(besides)
        if isinstance(asked, str) and isinstance(more, str) and more.strip():
            asked = f"{asked}\n\n{more}"
        return [*_system(record), {"role": "user", "content": asked}, {"role": "assistant", "content": record[answer]}]

    return read


def _system(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The system message, where a field beside the question holds one."""
    text = record.get("system")
    return [{"role": "system", "content": text}] if text else []


# What a record has decides; of several that fit, the first.
LAYOUTS = (
    Layout("chat messages", ("messages",), (), _chat),
    Layout("ShareGPT", ("conversations",), ("system",), _sharegpt),
    Layout("prompt and completion", ("prompt", "completion"), ("system",), _pair("prompt", "completion")),
    Layout("Alpaca", ("instruction", "output"), ("input", "system"), _instruction("input", "output")),
    Layout("Dolly", ("instruction", "response"), ("context", "system"), _instruction("context", "response")),
    Layout("prompt and response", ("prompt", "response"), ("system",), _pair("prompt", "response")),
    Layout("question and answer", ("question", "answer"), ("system",), _pair("question", "answer")),
)


# Fields that often belong to the conversation, and that no layout above reads.
UNREAD = (
    "history",
    "context",
    "input",
    "system",
    "system_prompt",
    "tools",
    "functions",
    "reasoning",
    "rejected",
    "label",
)
# Those that say whether an answer is a good one; "weight" stands in a message, and 0 is an answer not to be learned (OpenAI).
JUDGES = ("label", "weight")


def layout_of(fields: Collection[str]) -> Layout | None:
    """The layout that these fields make, or None."""
    return next((layout for layout in LAYOUTS if set(layout.needs) <= set(fields)), None)


def known_columns(names: Collection[str]) -> bool:
    """Whether a table with these columns can be read."""
    return layout_of({name.strip().lower() for name in names}) is not None


def _check_fields(layout: Layout, record: dict[str, Any]) -> None:
    """Raise Fault, in the words of the file's own columns, unless question and answer are text; lists of messages pass."""
    for name in layout.needs if len(layout.needs) == 2 else ():
        value = record[name]
        if not isinstance(value, str | list):
            raise Fault("no_text", f'the {name} must be text, such as "Hello.", not {shown(value)}.')
    answer = layout.needs[-1]
    if isinstance(record[answer], str) and not record[answer].strip():
        raise Fault("empty_answer", f"the {answer} is empty: write one, or take the line out.")


def conversation(record: dict[str, Any]) -> tuple[Layout, dict[str, Any]]:
    """The layout of a record, and the conversation in it: {"messages": [...]} and whatever fields stand beside it.

    Raises Fault when the fields are none that is known, or what they hold is no conversation.
    """
    layout = layout_of(record)
    if not layout:
        raise Fault("unknown_layout", f"its fields are {shown(list(record))}: expected {KNOWN}.")
    _check_fields(layout, record)
    messages = layout.read(record)
    check_messages(messages)
    others = {name: value for name, value in record.items() if name not in layout.needs + layout.may}
    return layout, {"messages": messages, **others}
