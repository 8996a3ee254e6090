"""Reading conversations from a JSON-lines file, and naming what is wrong in it, line by line."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

# transformers' roles; a chat template may take fewer
ROLES = ("system", "user", "assistant", "tool")
# bytes; about 250,000 tokens, more than any base of the course can read at once
LONGEST_LINE = 1_000_000
MOST_NAMED = 20


def read_jsonl(path: Path | str) -> list[dict[str, Any]]:
    """Conversations from a file in UTF-8; each line holds {"messages": [{"role": …, "content": …}, …]}.

    Lines end with a line feed alone: other separators, such as U+2028, may stand inside an answer. Blank lines and a
    byte-order mark are skipped. Raises ValueError that names each bad line (at most MOST_NAMED) and what is wrong in
    it: not UTF-8, not JSON, longer than LONGEST_LINE, without messages, or not ending with the assistant's answer.
    """
    examples, faults = [], []
    with open(path, "rb") as file:
        for number, line in enumerate(_lines(file), 1):
            if not line.removeprefix(codecs.BOM_UTF8).strip():
                continue
            if b"\0" in line:
                faults.append(
                    f"{path}, line {number}: it holds zero bytes, as UTF-16 text does: save the file as UTF-8."
                )
                break
            try:
                examples.append(_conversation(line))
            except ValueError as error:
                faults.append(f"{path}, line {number}: {error}")
            except RecursionError:
                faults.append(f"{path}, line {number}: lists or objects are nested too deep.")
    if len(faults) > MOST_NAMED:
        faults[MOST_NAMED:] = [f"{len(faults) - MOST_NAMED} more lines of {path} are wrong."]
    if faults:
        raise ValueError("\n".join(faults))
    if not examples:
        raise ValueError(f'{path} holds no examples: write one conversation a line, {{"messages": [...]}}.')
    return examples


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of `file`, split at line feeds; of one that is too long, one byte more than LONGEST_LINE."""
    while line := file.readline(LONGEST_LINE + 1):
        yield line
        while len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            line = file.readline(LONGEST_LINE + 1)


def _conversation(line: bytes) -> dict[str, Any]:
    """The conversation that `line` holds. Raises ValueError that says what is wrong with it."""
    if len(line) > LONGEST_LINE:
        raise ValueError(
            f"more than {LONGEST_LINE:,} bytes are more than a base can read at once: split the conversation."
        )
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8 (it may be Latin-1): save the file as UTF-8.") from error
    try:
        example = json.loads(text)
    except ValueError as error:
        reason = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
        raise ValueError(f'expected {{"messages": [...]}} as JSON ({reason}).') from error
    messages = example.get("messages") if isinstance(example, dict) else None
    if not isinstance(messages, list) or not messages:
        raise ValueError('expected {"messages": [...]} as JSON, with a list of messages that is not empty.')
    for number, message in enumerate(messages, 1):
        if fault := _message_fault(message):
            raise ValueError(f"message {number} {fault}")
    if messages[-1]["role"] != "assistant" or not messages[-1]["content"].strip():
        raise ValueError("the last message must be the assistant's answer, and not empty.")
    if len(messages) == 1:
        raise ValueError("the answer has no question: put the user's message before it.")
    return example


def _message_fault(message: Any) -> str:
    """What is wrong with one message; "" when nothing is."""
    if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
        return f'must be {{"role": …, "content": …}}, not {_shown(message)}.'
    role, content = message["role"], message["content"]
    if role not in ROLES:
        return f"has the unknown role {_shown(role)}: choose from {', '.join(ROLES)}."
    if not isinstance(content, str):
        return f'must have text as its content, such as "Hello.", not {_shown(content)}.'
    try:
        content.encode()
    except UnicodeEncodeError as error:
        half = ord(content[error.start])
        return f"holds half a character (\\u{half:04x}, a lone surrogate): write the whole character, or leave it out."
    return ""


def _shown(value: Any) -> str:
    """`value` as JSON, cut to 40 characters."""
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:39] + "…"
