"""What became of a lesson that was run: its records, what deviates, where it failed, and what its notebook shows."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..course.claims import Card, read_card
from ..course.lesson import MIME as HANDOVER
from ..course.records import Record
from ..drawing import IN_WORDS
from .baselines import Deviation

if TYPE_CHECKING:
    from nbformat import NotebookNode


OK, FAILED, DEVIATES, INTERRUPTED = "ok", "failed", "deviates", "interrupted"


class CellError(NamedTuple):
    """Where and how a lesson failed. `cell` counts from 1 in the notebook as the learner sees it; 0 where none ran."""

    cell: int
    first_line: str
    name: str
    message: str
    traceback: str = ""

    def __str__(self) -> str:
        where = f"cell {self.cell} ({self.first_line})" if self.cell else "before its first cell"
        return f"{where}: {self.name}: {self.message}"


@dataclass
class LessonResult:
    """What became of one lesson."""

    lesson: str  # the notebook's stem
    status: str  # OK, FAILED, DEVIATES or INTERRUPTED
    seconds: float
    peak_ram_bytes: int  # the largest resident size seen of the kernel and its children
    cells: int  # code cells in the lesson
    records: dict[str, Record] = field(default_factory=dict)
    deviations: list[Deviation] = field(default_factory=list)
    baseline: dict[str, Any] | None = None  # what the records were held against
    error: CellError | None = None
    notebook: NotebookNode | None = field(default=None, repr=False)  # as executed
    kept_from: str = ""  # the date of the earlier run that it was taken over from, if it was

    def __str__(self) -> str:
        took = f"{self.seconds:.1f} s, peak {self.peak_ram_bytes / 1e9:.2f} GB, {len(self.records)} records"
        lines = [f"{self.lesson}: {self.status} ({took})"]
        lines += [f"  {self.error}"] * (self.error is not None)
        lines += [f"  {'note: ' * d.warning}{d.sentence}" for d in self.deviations]
        lines += [f"  {line}" for line in handover(self.notebook)]
        return "\n".join(lines)


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
