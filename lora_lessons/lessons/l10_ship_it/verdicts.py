"""Verdicts of lesson 10: adapters in llama.cpp and Ollama.

For each claim of the page: a sentence, and what the records make of the claim. None is “not what we saw”.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, CORRECTED, claim


@claim(
    "G13",
    "10_ship_it",
    says="Ollama and llama.cpp load LoRA adapters at runtime, so many fine-tunes can be tried on one base",
    written_for=CONDITION,
    sentence="Half of it was tested: Ollama was not run here. llama.cpp does it. Its server loaded several adapters "
    "beside one base when it started, and then swapped and scaled them at each request; what it computed "
    "{swap.holds:was|was not} what PEFT computes, to 0.001<!--calc 1/1000-->. But it takes no further adapter while it "
    "runs (llama.cpp#22061 asks for that, and was open in November 2026). By report (November 2026) Ollama takes one "
    "adapter, fixed when a model is created; from version 0.34.1 on it refuses to create such a model, and those made "
    "earlier still run. So merge there.",
)
def g13(measured: Mapping[str, Any]) -> str | None:
    if not measured["swap.several"]:
        return CORRECTED
    return CONDITION if measured["parity.holds"] and measured["swap.holds"] else None
