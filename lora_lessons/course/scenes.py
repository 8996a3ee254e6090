"""A scene: all that a page without a kernel needs to play a widget again. It is stored beside the widget's still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..machine import stamp

SCENE = "application/vnd.lora-lessons.scene+json"


def scene(
    kind: str,
    state: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    note: str,
) -> dict[str, Any]:
    """The scene of a widget of `kind`: its traits, the answers that were recorded, one a row, and a note below it."""
    return {"kind": kind, "note": note, "state": dict(state), "answers": {"rows": list(rows)}}


def recorded_on(made: Mapping[str, Any] | None = None) -> str:
    """When and where a recording was made, as a sentence; without one: here and today."""
    made = made or stamp()
    return f"Recorded on {made['date']}, {made['machine']}."
