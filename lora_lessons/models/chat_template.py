"""A chat template is a program that comes with a model: it is tried once, in a process of its own,
before it is used."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ..disk_cache import once
from ..errors import STUMBLES, ModelError, first_line
from .embedded import EMBEDDED_TEMPLATE_SHA256

SECONDS = 10
# Templates that are known to end.
KNOWN = {EMBEDDED_TEMPLATE_SHA256}


def check_template(tokenizer: Any, source: str) -> None:
    """Try the chat template of a tokenizer. Raises ModelError where it does not end, fills the memory, or cannot run.

    A template that refuses a conversation (by raise_exception) is fine. What is fine is remembered, in the cache too.
    """
    templates = getattr(tokenizer, "chat_template", None)
    for template in templates.values() if isinstance(templates, dict) else [templates]:
        if template:
            check_text(template, source)


def check_text(template: Any, source: str) -> None:
    """`check_template` for the template's own text."""
    if not isinstance(template, str):
        raise ModelError(f"the chat template of {source} is no text: set tokenizer.chat_template, or fetch it again.")
    if hashlib.sha256(template.encode("utf-8", "surrogatepass")).hexdigest() in KNOWN:
        return
    try:
        _fine(template)
    except _Unfit as error:
        raise ModelError(
            f"the chat template of {source} {error}: take that model from its maker, or write another template into "
            "its tokenizer_config.json or chat_template.jinja."
        ) from None


class _Unfit(Exception):
    """What is wrong with a template."""


@cache
def _fine(template: str) -> None:
    once("template", template, ["fine"], lambda: _tried(template))


def _tried(template: str) -> dict[str, Any]:
    worker = [sys.executable, "-P", str(Path(__file__).with_name("template_worker.py"))]
    try:
        done = subprocess.run(worker, input=json.dumps(template), capture_output=True, text=True, timeout=SECONDS)
        fault = json.loads(done.stdout) if done.returncode == 0 else "ends the program that renders it"
    except subprocess.TimeoutExpired:
        fault = f"does not end within {SECONDS} seconds for a short conversation"
    if fault:
        raise _Unfit(fault)
    return {"fine": True}


def rendered(tokenizer: Any, messages: Sequence[Mapping[str, Any]], answer: bool = True, **beside: Any) -> str:
    """`messages` in the tokenizer's own chat template, as text; `answer`: ready for one; `beside`:
    what else it is shown.

    Raises ValueError where the template refuses them.
    """
    import jinja2

    if not getattr(tokenizer, "chat_template", True):
        raise ValueError(
            "the model has no chat template, so nobody can say how to ask it: give an Instruct model, or write the "
            "template that it was trained with into its chat_template.jinja."
        )
    try:
        text: str = tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=answer, **beside
        )
    except (jinja2.TemplateError, *STUMBLES) as error:
        roles = ", ".join(str(message.get("role")) for message in messages)
        raise ValueError(
            f"the model's chat template refuses a conversation of {roles} ({first_line(error)}): say it in other turns."
        ) from error
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ascii(text[error.start])
        raise ValueError(f"half a character, {half}, stands in what is asked: write the whole one.") from error
    return text
