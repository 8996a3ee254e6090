"""What an executed notebook shows: its title, its answer, its pictures, its verdict cards, and what it hands over."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ..course.claims import Card, read_card
from ..course.figures import IN_WORDS
from ..course.handover import MIME as HANDOVER

if TYPE_CHECKING:
    from nbformat import NotebookNode

_ANSWER = re.compile(r"^#{2,3} [^\n]*\bthe answer\b[^\n]*\n(?P<text>.*?)(?=^#|<details|\Z)", re.I | re.M | re.S)


def title(notebook: NotebookNode | None) -> str:
    """The first heading, such as "03 · Can B·A do what full fine-tuning does?"."""
    found = re.search(r"^# (.+)$", _prose(notebook), re.M)
    return plain(found[1]) if found else ""


def answer(notebook: NotebookNode | None) -> str:
    """The paragraph under the heading "The answer"; empty where there is none."""
    found = _ANSWER.search(_prose(notebook))
    return plain(found["text"]) if found else ""


def _prose(notebook: NotebookNode | None) -> str:
    return "\n\n".join(c.source for c in (notebook.cells if notebook else []) if c.cell_type == "markdown")


def plain(markdown: str) -> str:
    """Markdown as one line of words: without comments, tags, links, emphasis and the marks of formulas."""
    text = re.sub(r"<!--.*?-->|<[^>]+>", "", markdown, flags=re.S)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\*\*|`|\$|(?<!\w)[*_](?=\w)|(?<=[\w.!?,;:])[*_](?!\w)", "", text)
    return " ".join(html.unescape(text).split())


class Picture(NamedTuple):
    """A figure: base64 of a PNG, and its summary in words."""

    png: str
    words: str


def figures(notebook: NotebookNode | None) -> Iterator[Picture]:
    """The PNG outputs of an executed notebook with the text summary that follows each."""
    for data in _displayed(notebook):
        if "image/png" in data:
            after = data["following"].get("text/markdown", "")
            summary = _joined(after).removeprefix(IN_WORDS).strip() if IN_WORDS in _joined(after) else ""
            yield Picture(re.sub(r"[^A-Za-z0-9+/=]", "", _joined(data["image/png"])), summary)


def cards(notebook: NotebookNode | None) -> Iterator[Card]:
    """The verdict cards of an executed notebook."""
    for data in _displayed(notebook):
        card = read_card(_joined(data.get("text/html", "")))
        if card is not None:
            yield card


def handover(notebook: NotebookNode | None) -> list[str]:
    """The lines that an executed notebook hands over: what it made for the learner, and where that is kept."""
    return [line for data in _displayed(notebook) for line in data.get(HANDOVER, [])]


def _displayed(notebook: NotebookNode | None) -> Iterator[dict[str, Any]]:
    """The MIME bundles shown, each with the next one of its cell as `following`."""
    for cell in notebook.cells if notebook else []:
        shown = [output.get("data", {}) for output in cell.get("outputs", [])]
        for bundle, following in zip(shown, [*shown[1:], {}], strict=False):
            yield {**bundle, "following": following}


def _joined(text: str | list[str]) -> str:
    return "".join(text)
