"""The layouts that training files have, made into one, {"messages": [...]}; and what looks like a mistake in its turns."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

from ...tasks.conversations import answers_in
from ...tasks.jsonl import CHAT, Fault, check_messages, shown

# How ShareGPT and its followers call the roles.
SPEAKERS = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant", "model": "assistant"}
KNOWN = f'{CHAT}, {{"conversations": [...]}}, prompt and completion, or instruction and output'


class Layout(NamedTuple):
    """A way to write a conversation: its name, the fields it must have, those it may have, and how it is read."""

    name: str
    needs: tuple[str, ...]
    may: tuple[str, ...]
    read: Callable[[dict[str, Any]], Any]


def _messages(record: dict[str, Any]) -> Any:
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
        asked, replied = record[question], record[answer]
        if isinstance(asked, list) and isinstance(replied, list):
            return asked + replied
        return [*_system(record), {"role": "user", "content": asked}, {"role": "assistant", "content": replied}]

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
    Layout("chat messages", ("messages",), (), _messages),
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


# Marks of well-known chat templates. A tokenizer makes one token of each that is its own, wherever it stands.
MARKS = (
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|begin_of_text|>", "<|start_header_id|>"),
    *("<|end_of_text|>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "</s>"),
)
BOILERPLATE = re.compile(
    r"\bas an? (?:AI|artificial intelligence|large language model|language model)\b|\bmy (?:last )?knowledge (?:cutoff|update)\b"
    r"|^\W{0,3}(?:I['’]m|I am) (?:very )?sorry,? but (?:I|as)\b|\bI (?:cannot|can['’]t|am unable to) (?:assist with|fulfill|comply)\b",
    re.I,
)
# UTF-8 that was read as cp1252 and saved, and characters that were lost on the way.
GARBLED = re.compile(r"Ã[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â€[™œ\x9d“”˜¦\x94]|\ufffd")
Remark = tuple[str, str]


def remarks(messages: Sequence[dict[str, Any]], marks: Sequence[str] = MARKS) -> Iterator[Remark]:
    """(code, sentence) of everything in a conversation that is probably a mistake."""
    yield from _order([message["role"] for message in messages])
    yield from _answers(messages)
    text = "\n".join(message["content"] for message in messages)
    if marked := [mark for mark in marks if mark in text]:
        yield "special_token_in_text", f"{marked[0]} stands in the text, where the template writes it: take it out."
    if GARBLED.search(text):
        yield "garbled", "it holds characters of a wrong encoding, such as Ã©: save the file anew from its source."


def _order(roles: list[str]) -> Iterator[Remark]:
    """Roles that most chat templates refuse or misread."""
    if "system" in roles[1:]:
        which = "a second system message" if roles[0] == "system" else "a system message that is not the first"
        yield "misplaced_system", f"it has {which}: put one before all others."
    turns = [role for role in roles if role != "system"]
    if turns[0] == "assistant":
        sentence = "it begins with the assistant, so that turn is not learned: put the user's message before it."
        yield "missing_role", sentence
    for one, next_one in zip(turns, turns[1:], strict=False):
        if one == next_one and one != "tool":
            yield (
                "doubled_role",
                f"two messages of the {one} follow each other: make one of them, or add what is missing.",
            )
            return


def _answers(messages: Sequence[dict[str, Any]]) -> Iterator[Remark]:
    *before, last = messages
    if not re.search(r"\w", last["content"]):
        yield "empty_answer", "the answer has no letter and no digit: write one, or take the line out."
    if any(not message["content"].strip() for message in before):
        yield "empty_message", "the question, or another message before the answer, is empty: fill it, or take it out."
    if any(BOILERPLATE.search(messages[n]["content"]) for n in answers_in(messages)):
        yield "boilerplate", "an answer is a refusal or a stock phrase of another model: write what yours should say."
