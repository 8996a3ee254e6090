"""Traces in a text of where it came from: a page, a PDF, an app, another program or another way to write a chat."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from lora_lessons.tasks.jsonl import said, shown

# code, sentence
Remark = tuple[str, str]
# Forms of prompts that a template of today would be put around: Alpaca's, Llama 2's, Vicuna's and Anthropic's.
OLD_FORM = re.compile(r"^### (?:Instruction|Human|Assistant):|<<SYS>>|^(?:USER|ASSISTANT|Human|Assistant): ", re.M)
# and what is left of a chat template's turns where their marks alone were taken out
_FORMS = re.compile(rf"{OLD_FORM.pattern}|\Auser$|^assistant(?=\s*\Z)", re.M)
SPEAKERS = (("USER", "ASSISTANT"), ("Human", "Assistant"))
# A line end that was escaped twice, between two words or marks: none that is spoken of,
# and none of LaTeX's names or of a path.
ESCAPED = re.compile(
    r"(?<![\s'(\[,/\\])\\n(?![\s')\],/]|u\b|abla|eq?\b|ot|ewline|ewcommand|i\b|mid|leq|geq|"
    r"orm|atural|exists|parallel|umber|oindent)"
)
PATH = re.compile(r"\b[A-Za-z]:\\|\\\\\w")
# Signs that show nothing or that only one font had: control signs, soft hyphens, private use, what has no width (but
# joiners, which some scripts and emoji need, and where scripts without spaces part their words).
UNSEEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\xad\u2060\ufeff\ue000-\uf8ff]|"
    r"(?<![\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\u200b"
)
# What only a program writes for ' and ", and for an & before them
ENTITIES = re.compile(r"&#0?39;|&#x27;|&quot;|&amp;(?:lt|gt|quot|#\d+);", re.I)
ABOUT_SIGNS = re.compile(r"`|[hx]ml|escap", re.I)
# Marks of HTML that a page would show in another way, in a text that is neither about HTML nor a table.
TAGS = re.compile(r"</(?:p|div|li|ul|span|td|h\d)>|<br ?/?>|&nbsp;", re.I)
ABOUT_TAGS = re.compile(r"`|html|\btags?\b|css|\bweb|^\s*\|", re.I | re.M)
# What is left where an answer was copied out of an app: its references, and the word on a button beside code.
COPIED = re.compile(
    (
        r"【\d+[†:]|oaicite|\bturn\d+(?:search|view|news|image)\d+|\[cite(?:_start|: "
        r"?\d+)|utm_source=chatgpt|^(?:\w+)?Copy code$"
    ),
    re.M,
)
# A field's name in braces, as where a form was never filled in.
UNFILLED = re.compile(
    r"(?<![{$'\"])\{(?:input|instruction|question|context|prompt|query|text|user_input|user_message)\}(?![}'\"])"
)
# So many sentences or lines of at least so many words in a row say the same where a text was made by
# a model that ran in circles.
IN_A_ROW, WORDS = 4, 3
# UTF-8 that was read as cp1252 and saved, and characters that were lost on the way: of the Latin letters that are
# frequent a single one tells, of all other scripts two in a row.
_BEHIND = r"[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
GARBLED = re.compile(
    rf"Ã{_BEHIND}|â€[™œ\x9d“”˜¦\x94]|\ufffd|(?:[Â-ß]{_BEHIND}|[à-ï]{_BEHIND}{{2}}|[ð-ô]{_BEHIND}{{3}}){{2}}"
)


def traces(messages: Sequence[dict[str, Any]]) -> Iterator[Remark]:
    """(code, sentence) of everything in what is said that another program left there."""
    texts = [message.get("content") or "" for message in messages]
    text = "\n".join(map(said, messages))
    if entity := (None if ABOUT_SIGNS.search(text) else ENTITIES.search(text)) or _tag(texts):
        yield (
            "html_signs",
            f"it holds HTML's signs, such as {entity[0]}, where a page showed others: write the text "
            "itself (in Python, html.unescape(text) for signs, and a parser for tags).",
        )
    if form := _old_form(messages):
        yield (
            "old_form",
            f"{shown(form.strip())} stands in the text, which is another way to write a chat: take it out "
            "where a chat template writes its own.",
        )
    # two or more, in a text that has no line end of its own, and no code or path
    escaped = (one for one in texts if len(ESCAPED.findall(one)) > 1)
    if any(not re.search(r"[\n`\"]", one) and not PATH.search(one) for one in escaped):
        yield "escaped_twice", r"it holds \n as two signs where a line end is meant: write the line ends themselves."
    if unseen := UNSEEN.search(text):
        yield (
            "unseen_signs",
            f"it holds signs that nobody sees, such as U+{ord(unseen[0]):04X}, as text from a PDF or a "
            "terminal does: take them out.",
        )
    if copied := COPIED.search(text):
        yield "copied_marks", f"{shown(copied[0])} was left in it by the app that it was copied from: take it out."
    if unfilled := next((found for one in texts if "`" not in one and (found := UNFILLED.search(one))), None):
        yield (
            "unfilled",
            f"{unfilled[0]} stands where something should have been filled in: fill it in, or take the line out.",
        )
    answers = (message.get("content") or "" for message in messages if message["role"] == "assistant")
    if said_again := next(filter(None, map(_in_circles, answers)), ""):
        yield (
            "in_circles",
            f"{shown(said_again)} is said {IN_A_ROW} times in a row or more, so the model learns to run in "
            "circles: cut it, unless it belongs there.",
        )
    if garbled := GARBLED.search(text):
        yield (
            "garbled",
            f"it holds characters of a wrong encoding, such as {garbled[0]}: save the file anew from its source.",
        )


def _tag(texts: Sequence[str]) -> re.Match[str] | None:
    """The first of two marks of HTML or more in a text, where nothing is said of HTML."""
    found = [match for text in texts for match in TAGS.finditer(text)]
    return found[0] if len(found) > 1 and not any(ABOUT_TAGS.search(TAGS.sub("", text)) for text in texts) else None


def _in_circles(text: str) -> str:
    """The first sentence or line that a text says IN_A_ROW times without another one between; "" where none is."""
    parts = [] if "```" in text else [part for part in re.split(r"(?<=[.!?])\s+|\n+", text) if part.strip()]
    last, times = "", 0
    for part in parts:
        last, times = (last, times + 1) if part.strip() == last else (part.strip(), 1)
        if times == IN_A_ROW and len(re.findall(r"[^\W\d_]+", last)) >= WORDS:
            return last
    return ""


def _old_form(messages: Sequence[dict[str, Any]]) -> str:
    """The first mark of another way to write a chat, where all marks of that way stand in a line; "" where none do."""
    found = [mark for message in messages for mark in _FORMS.findall(said(message))]
    pairs = [{form.format(who) for who in pair} for pair in SPEAKERS for form in ("{}: ", "### {}:")]
    ways = ({"### Instruction:"}, {"<<SYS>>"}, {"user", "assistant"}, *pairs)
    return found[0] if any(way <= set(found) for way in ways) else ""
