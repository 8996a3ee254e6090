"""The frame of a lesson: how it begins, and the scorecard it closes with."""

from __future__ import annotations

import html
import logging
import warnings
from pathlib import Path
from typing import Any

from ..files import course_root
from .figures import use_style
from .records import session_records, show_value

# Imported before a lesson imports PEFT, which imports bitsandbytes, which warns of a CPU kernel that is optional.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def lessons() -> list[Path]:
    """The course's notebooks in reading order."""
    return sorted((course_root() / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def begin(lesson: str) -> None:
    """Set up a lesson's kernel: figure style, quiet libraries, repeatable randomness."""
    import torch

    use_style()
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.manual_seed(0)
    print(f"{lesson}: ready.")


def scorecard() -> Any:
    """A table of everything this lesson measured, in the order it was measured."""
    from IPython.display import HTML

    rows = "".join(
        f"<tr><td><code>{html.escape(r.name)}</code></td><td style='text-align:right'>{html.escape(show_value(r.value))}</td>"
        f"<td>{html.escape(r.unit)}</td></tr>"
        for r in session_records().values()
    )
    return HTML(f"<table><tr><th>measured here</th><th>value</th><th>unit</th></tr>{rows}</table>")
