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
    sentence="llama.cpp does. Its server loaded several adapters beside one base when it started, and then swapped and scaled them at each request; what it "
    "computed was what PEFT computes (to 0.001: {swap.holds}). But it takes no further adapter while it runs. Ollama was not run here. By report (November "
    "2026) it took one adapter, fixed when a model is created, and from version 0.34.1 on it takes none, so merge there.",
    records=(
        "parity.holds",
        "swap.several",
        "swap.holds",
        "server.refuses",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    return all(measured[name] for name in ("parity.holds", "swap.several", "swap.holds", "server.refuses"))
