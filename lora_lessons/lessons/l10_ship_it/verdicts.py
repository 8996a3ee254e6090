"""Verdicts of lesson 10: adapters in llama.cpp and Ollama.

For each claim of the page: a sentence, and the condition on the records that decides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, claim


@claim(
    "G13",
    "10_ship_it",
    says="Ollama and llama.cpp load LoRA adapters at runtime, so many fine-tunes can be tried on one base",
    verdict=CONDITION,
    sentence="llama.cpp does: several adapters were loaded beside one base when its server started, then swapped and scaled by request; what it computed was what PEFT computes "
    "(to 0.001: {swap.holds}). More cannot be added while it runs. Ollama, by report and not measured here (November 2026): before 0.34.1 one adapter, fixed "
    "when a model is created; from 0.34.1 (September 2026) none can be added. There, merge.",
    records=(
        "parity.holds",
        "swap.several",
        "swap.holds",
        "server.refuses",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    return all(measured[name] for name in ("parity.holds", "swap.several", "swap.holds", "server.refuses"))
