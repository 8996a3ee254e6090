"""What a chat template is shown beside the messages, what it writes then, and why an answer cannot be told apart in that."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

# What a template is shown beside the messages: TRL's names, as columns of a file.
SHOWN_WITH = ("tools", "chat_template_kwargs")
NO_THINKING = {"enable_thinking": False}


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


def why_apart(
    tokenizer: Any, messages: Sequence[dict[str, Any]], beside: dict[str, Any], prompt: str, whole: str
) -> str:
    """Why the question, as the model is asked it, is not how question and answer begin; and what helps, where it does."""
    same = next((n for n, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b), len(whole))
    # a thinking template opens the block where it asks
    if not 0 <= prompt.rfind("<think>") <= same:
        return "this chat template rewrites earlier turns, so the answer cannot be told apart: use another template."
    reason = "this chat template has the model think where it is asked, and writes an answer without thinking otherwise"
    asked, answered = written(tokenizer, messages, {**beside, **NO_THINKING})
    if answered.startswith(asked):
        settings = json.dumps({"chat_template_kwargs": NO_THINKING})[1:-1]
        return f"{reason}: add {settings} to the line, or write its thinking into the message's reasoning_content."
    return f"{reason}: use another template, or a base whose template writes both alike."
