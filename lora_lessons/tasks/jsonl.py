"""Reading conversations from a JSON-lines file, and naming what is wrong in it, line by line."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import Faults, first_line
from ..files import check_readable
from .personal import masked

# transformers' roles; a chat template may take fewer
ROLES = ("system", "user", "assistant", "tool")
# bytes; about 250,000 tokens, more than any base of the course can read at once
LONGEST_LINE = 1_000_000
# bytes; no file of conversations has a line of so many, so its end is not looked for
ENDLESS = 100 * LONGEST_LINE
MOST_NAMED = 20
CHAT = '{"messages": [...]}'
# the code of a line whose question a chat template writes otherwise once it is answered
APART = "answer_apart"


class Fault(ValueError):
    """Why a line is not used: a sentence that says what to do, and a code for programs."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def read_jsonl(path: Path | str) -> list[dict[str, Any]]:
    """Conversations from a file in UTF-8; each line holds {"messages": [{"role": …, "content": …}, …]}.

    Raises ValueError as `read_lines` does; a line is bad, too, without messages,
    or where the assistant's answer is not last.
    """
    return read_lines(path, lambda line: check_messages(line.get("messages")), CHAT)


def read_lines(path: Path | str, check: Callable[[dict[str, Any]], None], expected: str) -> list[dict[str, Any]]:
    """The JSON objects of a file in UTF-8, one a line, such as `expected` shows; `check` raises Fault for a bad one.

    Lines end with a line feed alone: other separators, such as U+2028, may stand inside an answer. Blank lines and a
    byte-order mark are skipped. Raises ValueError that names each bad line (at most MOST_NAMED) and what is wrong in
    it: not UTF-8, not JSON, longer than LONGEST_LINE, or what `check` says.
    """
    examples, faults = [], []
    check_readable(path)
    with open(path, "rb") as file:
        for number, line in enumerate(lines(file), 1):
            if is_blank(line):
                continue
            try:
                example = parsed(line, expected)
                check(example if isinstance(example, dict) else {})
                examples.append(example)
            except Fault as fault:
                faults.append(f"{path}, line {number}: {fault}")
                if b"\0" in line:
                    break
    if len(faults) > MOST_NAMED:
        faults[MOST_NAMED:] = [f"{len(faults) - MOST_NAMED} more lines of {path} are wrong."]
    if faults:
        raise Faults("\n".join(faults))
    if not examples:
        raise ValueError(f"{path} holds no examples: write one a line, {expected}.")
    return examples


def lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of `file`, split at line feeds; of one that is too long, one byte more than LONGEST_LINE.

    Raises ValueError where a line is ENDLESS.
    """
    while line := file.readline(LONGEST_LINE + 1):
        yield line
        passed = 0
        while len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            check_ends(file.name, passed := passed + len(line))
            line = file.readline(LONGEST_LINE + 1)


def check_ends(name: str, passed: int) -> None:
    """Raise ValueError where `passed` bytes of the file `name` went by without an end of what they belong to."""
    if passed >= ENDLESS:
        raise ValueError(
            f"{Path(name).name} goes on for {ENDLESS / 1e6:.0f} MB without an end of a line or of an example, so it "
            "holds no conversations, or is damaged: give another file, or write this one again."
        )


def is_blank(line: bytes) -> bool:
    """Whether nothing stands in a line, but for a byte-order mark."""
    return not line.removeprefix(codecs.BOM_UTF8).strip()


def text_of(line: bytes) -> str:
    """A line as text, without a byte-order mark. Raises Fault: too long, or not UTF-8."""
    if b"\0" in line:
        raise Fault("not_utf8", "it holds zero bytes, as UTF-16 text does: save the file as UTF-8.")
    if len(line) > LONGEST_LINE:
        raise Fault(
            "line_too_long",
            f"more than {LONGEST_LINE:,} bytes are more than a base can read at once: split the conversation.",
        )
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"byte {error.start + 1} is not UTF-8 (it may be Latin-1)"
        raise Fault("not_utf8", f"{where}: save the file as UTF-8.") from error


def parsed(line: bytes, expected: str = CHAT) -> Any:
    """The JSON value that `line` holds. Raises Fault that says what is wrong with it."""
    if b"}\r{" in line:  # which stands in no JSON
        raise Fault(
            "broken_json",
            "carriage returns alone, as of an old Mac, stand between its objects, and they end no line here: save the "
            "file with line feeds.",
        )
    text = text_of(line).strip()
    try:
        return json.loads(text, object_pairs_hook=_once)
    except Fault:
        raise
    except RecursionError as error:
        raise Fault("broken_json", "lists or objects are nested too deep: write them flat.") from error
    except ValueError as error:
        raise Fault("broken_json", f"it is not valid JSON: {_unparsed(text, error, expected)}.") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs. Raises Fault where a name stands twice: json keeps the last,
    other readers the first."""
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(name for n, (name, _) in enumerate(pairs) if name in dict(pairs[:n]))
        raise Fault(
            "doubled_key", f"{shown(twice)} stands twice in one object, and readers keep one of the two: take one out."
        )
    return made


def is_cut(text: str, error: json.JSONDecodeError) -> bool:
    """Whether `text` is JSON up to its end, where more of it is missing."""
    return error.pos >= len(text) or error.msg.startswith("Unterminated string")


def _unparsed(text: str, error: ValueError, expected: str) -> str:
    if not isinstance(error, json.JSONDecodeError):
        return f"{first_line(error)}, where {expected} was expected"
    if text.startswith("{'"):
        return "it is written in Python's way, with ' for \": write it with json.dumps"
    if text.endswith(",") and _is_json(text[:-1]):
        return "it ends with a comma, as an element of a list does: take the comma off"
    if is_cut(text, error):
        return "it ends before its closing brace, bracket or quotation mark: add it, or copy the line again"
    if text[error.pos :].startswith("{") and error.msg == "Extra data":
        return f"a second object begins at character {error.pos + 1}: put it on a line of its own"
    return (
        f"{error.msg[:1].lower()}{error.msg[1:].removesuffix(' at')} at character {error.pos + 1}, "
        f"where {expected} was expected"
    )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (RecursionError, ValueError):
        return False
    return True


def check_messages(messages: Any) -> None:
    """Raise Fault unless `messages` are a conversation that ends with the assistant's answer."""
    if isinstance(messages, str) and messages.lstrip().startswith("["):
        how = "json.loads" if _is_json(messages) else "ast.literal_eval"
        reason = "its messages are a text that holds a list, as where it was written twice or into a table's cell"
        raise Fault("unknown_layout", f"{reason}: write the list itself (in Python, {how}(text)).")
    if not isinstance(messages, list) or not messages:
        raise Fault("unknown_layout", f"expected {CHAT} as JSON, with a list of messages that is not empty.")
    for number, message in enumerate(messages, 1):
        try:
            _check_message(message)
        except Fault as fault:
            raise Fault(fault.code, f"message {number} {fault}") from None
    last = messages[-1]
    if last["role"] != "assistant" or not said(last).strip():
        code = "empty_answer" if last["role"] == "assistant" else "missing_role"
        more = "" if last["role"] == "assistant" else ": take off what follows it, or write one"
        raise Fault(code, f"the last message must be the assistant's answer, and not empty{more}.")
    if last.get("weight") == 0:
        raise Fault(
            "all_masked",
            'the last answer has "weight": 0, so it is not to be learned: take it out, or give it weight 1.',
        )
    if len(messages) == 1:
        raise Fault("missing_role", "the answer has no question: put the user's message before it.")


def _check_message(message: Any) -> None:
    calls = isinstance(message, dict) and message.get("role") == "assistant" and message.get("tool_calls")
    says = calls or (isinstance(message, dict) and ("content" in message or "function_call" in message))
    if not isinstance(message, dict) or "role" not in message or not says:
        raise Fault("missing_role", f'must be {{"role": …, "content": …}}, not {shown(message)}.')
    role, content = message["role"], message.get("content")
    if message.get("function_call"):
        raise Fault(
            "bad_tool_call",
            (
                f"has a function_call, which no chat template reads: write tool_calls, a list such as {CALL}, and give "
                "its answer the role tool."
            ),
        )
    if role not in ROLES:
        raise Fault(
            "unknown_role",
            f"has the unknown role {shown(role)}: choose from {', '.join(ROLES)}; "
            "in ShareGPT's turns, from human and gpt.",
        )
    if calls:
        _check_calls(calls)
        # it may say nothing beside
        content = "" if content is None else content
    if not isinstance(content, str):
        raise Fault("no_text", f'must have text as its content, such as "Hello.", not {shown(content)}.')
    try:
        content.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(content[error.start]):04x}, a lone surrogate"
        raise Fault(
            "half_character", f"holds half a character ({half}): write the whole character, or leave it out."
        ) from error


CALL = '{"type": "function", "function": {"name": "…", "arguments": {…}}}'


def _check_calls(calls: Any) -> None:
    if not isinstance(calls, list) or not all(isinstance(one, dict) and _named(one) for one in calls):
        raise Fault("bad_tool_call", f"must have a list of tool_calls such as {CALL}, not {shown(calls)}.")


def _named(call: dict[str, Any]) -> bool:
    return isinstance(function_of(call).get("name"), str)


def function_of(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """The name and the arguments of a tool call, which stand in its `function`, or in itself."""
    function = call.get("function", call)
    return function if isinstance(function, dict) else {}


def calls_in(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What an assistant's message calls: each with its name and its arguments."""
    return [function_of(call) for call in message.get("tool_calls") or ()] if message["role"] == "assistant" else []


def said(message: Mapping[str, Any]) -> str:
    """What a message says: its text, and behind it the tools that it calls, as JSON."""
    calls = [json.dumps(call, ensure_ascii=False) for call in calls_in(message)]
    return "\n".join(filter(None, [message.get("content") or "", *calls]))


def shown(value: Any) -> str:
    """`value` as JSON, cut to 40 characters, and without personal data."""
    try:
        text = masked(json.dumps(value))
    except RecursionError:
        text = "what is nested too deep"
    return text if len(text) <= 40 else text[:39] + "…"
