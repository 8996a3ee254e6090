"""Many runs in one recording: kept after each, and gone on with where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lora_lessons.experiments.recordings import keep, recorded_if_any
from lora_lessons.machine import machine

AND = " and "  # between the machines of a recording


class Runs:
    """A recording of many runs, kept after each; recording again makes those that it lacks, and names every machine.

    With other `settings` than the recording's it is begun anew.
    """

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        kept = recorded_if_any(name) or {}
        self.name, self.settings = name, dict(settings)
        goes_on = kept.get("settings") == self.settings
        self.made: dict[str, Any] = dict(kept["runs"]) if goes_on else {}
        self.machines = {*kept["machine"].split(AND), machine()} if goes_on else {machine()}

    def make(self, run: str, one: Callable[[], Mapping[str, Any]]) -> None:
        """Make `run` and keep it, unless it is kept already."""
        if run not in self.made:
            self.made[run] = one()
            about = {"machine": AND.join(sorted(self.machines)), "settings": self.settings}
            keep(self.name, about | {"runs": self.made})
