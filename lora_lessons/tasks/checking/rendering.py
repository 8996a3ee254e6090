"""A conversation as the model will see it, with what it learns marked: for a terminal, and for a page."""

from __future__ import annotations

from itertools import groupby
from typing import Any, NamedTuple

from ...outside import in_html, visible
from ..conversations import IGNORED, chat_text, tokenized

OPEN, CLOSE = "⟦", "⟧"
# bold, underlined, green; and back
COLOUR, PLAIN = "\x1b[1;4;32m", "\x1b[0m"
STYLE = "mark{background:#d7f0e4;color:#00402c;font-weight:600;text-decoration:underline}"


class Span(NamedTuple):
    """A run of tokens: its text, whether the model learns to write it, and how many tokens it is."""

    text: str
    taught: bool
    tokens: int


def rendered(tokenizer: Any, example: dict[str, Any], *, last_only: bool = False) -> tuple[Span, ...]:
    """The tokens that `tasks.encode` makes of a conversation, as text again, parted where supervision begins and ends.

    Raises ValueError as `tasks.encode` does.
    """
    encoded = next(tokenized(tokenizer, [chat_text(tokenizer, example, last_only=last_only)]))
    ids, labels = encoded.input_ids.tolist(), encoded.labels.tolist()
    spans, at, written = [], 0, ""
    for taught, run in groupby(label != IGNORED for label in labels):
        count = len(list(run))
        at += count
        # decoded from the start, since some tokenizers drop the space that a text begins with
        text = tokenizer.decode(ids[:at], skip_special_tokens=False)
        spans.append(Span(text[len(written) :], taught, count))
        written = text
    return tuple(spans)


def for_terminal(spans: tuple[Span, ...], colour: bool) -> str:
    """The text, with what is learned in colour and underlined, or without colour in brackets."""
    before, after = (COLOUR, PLAIN) if colour else (OPEN, CLOSE)
    return "".join(f"{before}{visible(s.text)}{after}" if s.taught else visible(s.text) for s in spans)


def for_page(spans: tuple[Span, ...]) -> str:
    """The text as HTML: what is learned is marked, underlined and in brackets, so that no one needs the colour."""
    parts = []
    for span in spans:
        text = in_html(span.text)
        title = f"{span.tokens} tokens that the model learns to write"
        parts.append(f'<mark title="{title}">{OPEN}{text}{CLOSE}</mark>' if span.taught else text)
    return f"<pre>{''.join(parts)}</pre>"
