"""What a chat template is shown beside the messages, what it writes then,
and why an answer cannot be told apart in that."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jinja2

from .jsonl import calls_in, function_of, said

# What a template is shown beside the messages: TRL's names, as columns of a file.
SHOWN_WITH = ("tools", "chat_template_kwargs")
# how files call the thinking of a message
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
NO_THINKING = {"enable_thinking": False}
# thinking in the content, and all that stands between it and the answer
THOUGHT = re.compile(r"<think>(.*?)</think>\s*", re.S)
# What a template raises at messages that it does not expect.
REFUSALS = (jinja2.TemplateError, ArithmeticError, LookupError, TypeError)


def shown_with(tokenizer: Any, example: Mapping[str, Any]) -> dict[str, Any]:
    """What `apply_chat_template` gets beside the messages; `tools` may be JSON in a text, as in tables.

    Raises ValueError where one of them is something else.
    """
    tools, settings = (example.get(name) or None for name in SHOWN_WITH)
    tools = out_of_text(tools)
    if tools is not None and not (isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools)):
        raise ValueError('the field tools must be a list of descriptions: [{"type": "function", "function": {…}}, …].')
    if settings is not None and not isinstance(settings, dict):
        raise ValueError(f"the field chat_template_kwargs must be an object, such as {json.dumps(NO_THINKING)}.")
    own = inspect.signature(tokenizer.apply_chat_template).parameters if settings else {}
    if taken := [name for name in settings or {} if name in own]:
        raise ValueError(f"chat_template_kwargs sets {taken[0]}, which is no template's to read: take it out.")
    return {**(settings or {}), **({"tools": tools} if tools else {})}


def out_of_text(value: Any) -> Any:
    """What a field holds, which may be JSON in a text, as in tables; a text that is none stays as it is."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (RecursionError, ValueError):
        return value


def written(tokenizer: Any, messages: Sequence[dict[str, Any]], beside: dict[str, Any]) -> tuple[str, str]:
    """What the template writes of all messages but the last, where the model begins to answer, and of all of them."""
    prompt = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True, **beside)
    return prompt, tokenizer.apply_chat_template(messages, tokenize=False, **beside)


def instead(tokenizer: Any, messages: Sequence[dict[str, Any]], beside: dict[str, Any]) -> str:
    """What to do where a template refuses these messages: the first of the usual ways that it takes."""
    ways = [(todo, [change(message) for message in messages]) for todo, change in WAYS.items()]
    ways += [
        ("make one message of those that the same role says one after the other", _joined(messages)),
        ("call one tool in a message, with its answer behind it", _one_call_each(messages)),
        ("take out the greeting that it begins with", _ungreeted(messages)),
        # Gemma's first templates and Cohere's know no tools
        ("write its calls into the content, and what a tool answers into a message of the user", _told(messages)),
    ]
    if messages[0]["role"] == "system":
        ways.insert(0, ("put what the system says into the user's message", [*messages[1:]]))
    for todo, changed in ways:
        try:
            _, whole = written(tokenizer, changed, beside)
        except (*REFUSALS, ValueError):  # nothing may be left to ask
            continue
        # it may take a message and pass over what is called there
        if all(str(call.get("name")) in whole for message in changed for call in calls_in(message)):
            return todo
    return "say it in other turns"


def _ungreeted(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages without what the assistant says before anybody asks."""
    asked = next((n for n, one in enumerate(messages) if one["role"] == "user"), 0)
    return [one for n, one in enumerate(messages) if n >= asked or one["role"] != "assistant"]


def _joined(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages, where a role speaks twice as one: not those that call a tool or answer."""
    made: list[dict[str, Any]] = []
    for one in messages:
        if (
            made
            and one["role"] == made[-1]["role"] != "tool"
            and not (made[-1].get("tool_calls") or one.get("tool_calls"))
        ):
            texts = [made[-1].get("content") or "", one.get("content") or ""]
            made[-1] = {**made[-1], "content": "\n\n".join(texts)}
        else:
            made.append(one)
    return made


def _one_call_each(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages, where several tools are called at once one after the other, each with its answer behind it."""
    made: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = []
    for one in messages:
        calls = one.get("tool_calls") or ()
        if len(calls) > 1:
            first, *waiting = ({**one, "tool_calls": [call]} for call in calls)
            made.append(first)
        else:
            made.append(one)
            if one["role"] == "tool" and waiting:
                made.append(waiting.pop(0))
    return made


def _told(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages, with what is called and what a tool answers as text."""
    return [{"role": "user" if one["role"] == "tool" else one["role"], "content": said(one)} for one in messages]


def _of_harmony(message: dict[str, Any]) -> dict[str, Any]:
    """The message with the last of gpt-oss's channels alone, where its content holds several."""
    *channels, last = str(message.get("content") or "").split("<|message|>")
    return {**message, "content": last} if channels else message


def _with_calls(message: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """The message with other arguments of its tool calls."""
    calls = [
        {**one, "function": {**function_of(one), "arguments": change(function_of(one).get("arguments"))}}
        for one in message.get("tool_calls") or ()
    ]
    return {**message, "tool_calls": calls} if calls else message


def _with_ids(message: dict[str, Any]) -> dict[str, Any]:
    """The message with ids of nine letters and digits, one for all: Mistral's templates want no others."""
    calls = [{**one, "id": "abcdefgh1"} for one in message.get("tool_calls") or ()]
    answers = {"tool_call_id": "abcdefgh1"} if message["role"] == "tool" else {}
    return {**message, **({"tool_calls": calls} if calls else {}), **answers}


# What templates want that others do not, and a message so.
WAYS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "give the arguments of its tool calls as an object": partial(_with_calls, change=out_of_text),
    # DeepSeek's V3 and R1: verl-project/verl#7664 (2026-09-02)
    "give the arguments of its tool calls as JSON in a text": partial(_with_calls, change=json.dumps),
    'write "" as the content of a message that only calls a tool': lambda one: {
        **one,
        "content": one.get("content") or "",
    },
    "give each tool call, and its answer, an id of nine letters and digits": _with_ids,
    (
        "write what it thinks into the field thinking and the answer alone, without channels, into the content"
    ): _of_harmony,
    "train a model that sees or hears, whose lists of parts it wants": lambda one: {
        **one,
        "content": [{"type": "text", "text": one.get("content") or ""}],
    },
}


def why_apart(
    tokenizer: Any, messages: Sequence[dict[str, Any]], beside: dict[str, Any], prompt: str, whole: str
) -> str:
    """Why the question, as the model is asked it, is not how question and answer begin; and what helps,
    where it does."""
    same = next(
        (n for n, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b), min(len(prompt), len(whole))
    )
    last = _longest(messages[-2]) if len(messages) > 1 else ""
    cut = THOUGHT.findall(str(messages[-1].get("content") or ""))
    thoughts = [*cut, *(str(messages[-1][name]) for name in THOUGHTS if messages[-1].get(name))]
    if thoughts and thoughts[0].strip() not in whole:
        does, todo = "cuts what stands between <think> and </think> out of an answer", "use a template that keeps it"
        if not cut:
            does, todo = (
                "does not write that field",
                f"write it between <think> and </think> in the content, and {todo}",
            )
        # trl#6766 (2026-08-15); with TRL 1.16's file the thinking is learned (run, here and there)
        reason = f"this chat template has the model think where it is asked, and {does}, so the thinking is lost"
        own = "deepseek_r1_distill_training.jinja, which assistant_only_loss=True takes for a distilled DeepSeek-R1"
        return f"{reason}: {todo}, such as TRL's {own}."
    # LFM2.5 with <think> in the content, gpt-oss with the thinking of a tool call (both rendered)
    bare = [*map(without_thinking, messages[:-1]), messages[-1]]
    if bare != [*messages] and _alike(tokenizer, bare, beside):
        reason = "this chat template takes the thinking out of an earlier answer once another follows"
        return f"{reason}: take it out of all but the last yourself, and write a line for each answer that is to think."
    lost = [one["role"] for one in messages[:-1] if (word := _longest(one)) in prompt and word not in whole]
    if lost:
        return (
            f"this chat template writes what the {lost[0]} says where it asks, and not in a text with the answer, "
            "which is what is trained: put it into the user's message, or use another template."
        )
    # up to what was said last both are alike: it is how the template asks that an answer does not begin with
    if last not in prompt[:same]:
        return "this chat template rewrites earlier turns, so the answer cannot be told apart: use another template."
    # from the beginning of the mark in which they part
    inside = prompt.rfind("<", 0, same) > prompt.rfind(">", 0, same)
    asks = " ".join(prompt[prompt.rfind("<", 0, same) if inside else same :].split())[:40]
    opens, _, block = prompt[prompt.rfind(last) :].rpartition("<think>")
    if not opens:
        reason = (
            f"this chat template writes {json.dumps(asks, ensure_ascii=False)} where it asks, "
            "and nothing of it before an answer"
        )
    elif "</think>" in block:
        reason = (
            "this chat template asks with an empty think block, for an answer at once, and does not begin this one so"
        )
    else:
        reason = (
            "this chat template has the model think where it is asked, and writes an answer without thinking otherwise"
        )
    ways = [
        f"add {json.dumps({'chat_template_kwargs': settings})[1:-1]} to the line, and ask it with that, too"
        for settings in (NO_THINKING, {"enable_thinking": True})
        if _alike(tokenizer, messages, {**beside, **settings})
    ]
    thought = {**messages[-1], "reasoning_content": "Thinking."}
    if not messages[-1].get("reasoning_content") and _alike(tokenizer, [*messages[:-1], thought], beside):
        ways.append("write its thinking into the message's reasoning_content")
    return f"{reason}: {'; or '.join(ways) or 'use another template, or a base whose template writes both alike'}."


def without_thinking(message: Mapping[str, Any]) -> dict[str, Any]:
    """The message without the thinking that stands in a field of it, or in an answer's content."""
    bare = {name: value for name, value in message.items() if name not in THOUGHTS}
    if message["role"] == "assistant" and isinstance(said := message.get("content"), str):
        bare["content"] = THOUGHT.sub("", said)
    return bare


def _longest(message: Mapping[str, Any]) -> str:
    return longest_word(str(message.get("content") or ""))


def longest_word(text: str) -> str:
    """By which a text is found again in what a template wrote, which may trim, quote or part the rest;
    "" where there is none."""
    return max(re.findall(r"\w+", text), key=len, default="")


def _alike(tokenizer: Any, messages: Sequence[dict[str, Any]], beside: dict[str, Any]) -> bool:
    """Whether question and answer begin as the model is asked."""
    try:
        asked, answered = written(tokenizer, messages, beside)
    except REFUSALS:
        return False
    return answered.startswith(asked)
