"""The adapters that ship with the course: where they lie,
and what was measured when `python -m workshop adapters` made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import evaluation
from ..adapter import ADAPTER_CONFIG
from ..paths import course_root
from . import recordings

ABOUT = {
    "persona": "WICK, a retired lighthouse keeper",
    "plain_language": "clauses of contracts in plain language",
    "code_style": "short Python functions in one strict style",
    "strict_json": "a message as one line of JSON",
}
STEPS = 80  # that each was trained for
MADE = "made.json"
SCORED = 24  # held-out answers that a score is made of
DRAWN = 40  # held-out examples that a score may draw from; the others choose the learning rates


def home() -> Path:
    """Their folder."""
    return course_root() / "data" / "adapters"


def shipped() -> dict[str, Path]:
    """The folders of the adapters that come with the course, by their task."""
    return {folder.name: folder for folder in sorted(home().glob("*")) if (folder / ADAPTER_CONFIG).is_file()}


def recorded() -> dict[str, Any]:
    """What was measured on making the shipped adapters: scores, seconds, machine, date, versions."""
    return recordings.read(home() / MADE)


def recorded_card(name: str) -> evaluation.Scorecard:
    """The scorecard of a shipped adapter as it was measured when it was made (`SCORED` answers; see `recorded`)."""
    made = recorded()["adapters"][name]
    before, after = (evaluation.Score(**made[part]) for part in ("base", "trained"))
    return evaluation.Scorecard(name, before, after, made["trainable"], made["megabytes"], made["seconds"])
