"""What a lesson leaves to its learner, such as an adapter: `lora-lessons run` says it again at its end, and in its report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..outside import in_html, in_line

MIME = "application/vnd.lora-lessons.handover+json"


class Handover:
    """Lines that say what was made, where it is kept, and how to use it. The last expression of a cell shows them."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = list(map(in_line, lines))

    def __repr__(self) -> str:
        return "\n".join(self.lines)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {MIME: self.lines, "text/html": f"<pre>{in_html(repr(self))}</pre>", "text/plain": repr(self)}
