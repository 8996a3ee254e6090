"""What tokenizer and chat template do to every line of a file, seen on one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jinja2

from ...models.chat_template import STUMBLES
from ...tasks.jsonl import calls_in
from ...tasks.templates import shown_with, written
from .problems import LOOK, NOTE, WRONG

Example = dict[str, Any]
# code, severity, sentence
Finding = tuple[str, str, str]


def marks_of(tokenizer: Any) -> tuple[str, ...]:
    """The texts that the tokenizer makes one special token of, wherever they stand."""
    return tuple(token for token in getattr(tokenizer, "all_special_tokens", ()) if len(token) > 2)


def unfit(tokenizer: Any) -> Iterator[Finding]:
    """(code, severity, sentence) of why nothing can be encoded with a tokenizer."""
    if tokenizer is not None and not getattr(tokenizer, "chat_template", True):
        reason = "this base has no chat template, so nobody can say what it would see of a conversation"
        yield "no_template", LOOK, f"{reason}: check with the instruct model's tokenizer, or set a template."
    elif tokenizer is not None and not tokenizer.eos_token:
        reason = "the tokenizer names no end token, so no answer could end: set tokenizer.eos_token."
        yield "eos_never_supervised", WRONG, reason


def of_the_template(tokenizer: Any, example: Example) -> Iterator[Finding]:
    """(code, severity, sentence) of what tokenizer and chat template do to every line, seen on one."""
    end = tokenizer.eos_token
    asked, whole = written(tokenizer, example["messages"], shown_with(tokenizer, example))
    last = example["messages"][-1]
    answer = (last.get("content") or "").strip() or str(calls_in(last)[-1]["name"])
    yield from _end(tokenizer, whole.rpartition(answer)[2].strip(), end)
    yield from _merged(tokenizer, asked, whole)
    begin = getattr(tokenizer, "bos_token_id", None)
    if begin is not None and list(tokenizer(whole)["input_ids"][:2]) == [begin, begin]:
        reason = f"the template writes {tokenizer.bos_token} and the tokenizer puts another before it"
        yield (
            "bos_twice",
            LOOK,
            f"{reason}: pass add_special_tokens=False where its text is tokenized, as this course does.",
        )
    template = getattr(tokenizer, "chat_template", "") or ""
    if isinstance(template, str) and not re.search(r"\{%-?\s*generation\b", template):
        reason = (
            "the template has no {% generation %} marks: with assistant_only_loss=True older versions of TRL learn nothing, and "
            "1.16 takes a marked template of its own or stops"
        )
        yield (
            "no_generation_marks",
            NOTE,
            f"{reason}: use prompt and completion, or add the marks. This course needs none.",
        )
    pad = getattr(tokenizer, "pad_token", None)
    if pad is None or pad == end:
        reason = "padding has no token of its own" if pad is None else f"padding and end are the same token, {end}"
        yield (
            "pad_is_eos",
            NOTE,
            f"{reason}: a trainer that masks padding by its token masks every end, and the model never stops. "
            "Set another pad token there; this course masks by position.",
        )


def _merged(tokenizer: Any, asked: str, whole: str) -> Iterator[Finding]:
    """Whether the question's last characters and the answer's first become one token."""
    question, both = tokenizer([asked, whole], add_special_tokens=False)["input_ids"]
    if both[: len(question)] != question:
        ends = f"{asked[-1:]!r} at the end of a question and {whole[len(asked) :][:1]!r} at the begin of an answer"
        yield (
            "prompt_is_no_prefix",
            NOTE,
            f"{ends} become one token, so a question's tokens are not how question and answer begin: TRL leaves the end of "
            "the question out of training (trl#5213). This course keeps the question as the model will be asked it, so "
            "there is nothing to change here.",
        )


def of_tools(tokenizer: Any, example: Example) -> Iterator[Finding]:
    """Whether the template shows the tools that stand beside a conversation."""
    beside = shown_with(tokenizer, example)
    without = {name: value for name, value in beside.items() if name != "tools"}
    try:
        same = written(tokenizer, example["messages"], beside) == written(tokenizer, example["messages"], without)
    except (jinja2.TemplateError, *STUMBLES):  # it cannot do without them
        same = False
    if same:
        reason = "the template does not show what the field tools says, so the model would not know what it can call"
        yield "tools_not_shown", LOOK, f"{reason}: describe the tools in a system message, or use another base."


def _end(tokenizer: Any, after: str, end: str) -> Iterator[Finding]:
    """What is wrong with the text that the template writes `after` an answer."""
    if end in after:
        return
    mark = next((mark for mark in marks_of(tokenizer) if mark in after), None)
    reason = f"the template ends an answer with {mark}" if mark else "the template writes no end token after an answer"
    mend = f"Set eos_token to {mark}, or add {end} to the template." if mark else f"Add {end} to the template."
    yield (
        "eos_never_supervised",
        LOOK,
        f"{reason}, and generation stops at {end}: a trainer that takes the template as it stands never teaches that. "
        f"{mend} This course adds it.",
    )
