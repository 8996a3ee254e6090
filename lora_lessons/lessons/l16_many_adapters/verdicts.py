"""Verdict of lesson 16: many fine-tunes on one base, tried one after the other or all at once.

For the claim of the page: a sentence, and what the records make of it. None is “not what we saw”.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, CORRECTED, HOLDS, claim


@claim(
    "G13",
    "16_many_adapters",
    says="Ollama and llama.cpp load LoRA adapters at runtime, so many fine-tunes can be tried on one base",
    written_for=CONDITION,
    sentence="Half of it was tested: Ollama was not run here. Many on one base, yes: {memory.adapters} adapters took "
    "{memory.hundred_mb:.0f} MB beside it, where as many merged models take {memory.merged_gb:.0f} GB, and rows of one "
    "batch that wanted different adapters {same.gathered:got|did not get} the merged models' logits. llama.cpp's "
    "server took each request's own adapters, and the answers are {llama.right:right|not right}. The condition is on "
    "speed: there, requests for different adapters never shared a pass, so they wait for one another.",
)
def g13(measured: Mapping[str, Any]) -> str | None:
    if measured["memory.hundred_mb"] > 100 * measured["memory.merged_gb"]:  # not even ten times smaller
        return CORRECTED
    if not (measured["same.gathered"] and measured["llama.right"] and measured["llama.same_share"]):
        return None
    return HOLDS if measured["llama.different_share"] else CONDITION
