"""Verdicts of lesson 11: which format for whom.

For each claim of the page: a sentence, and the condition on the records that decides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, claim


@claim(
    "G18",
    "11_formats",
    says="GGUF, GPTQ, AWQ, EXL2: which to use, and exporting a fine-tuned adapter to each",
    verdict=CONDITION,
    sentence="Choose by who shall load the file. Merged first, one adapter was written in {formats.loaded} formats, GGUF, GPTQ and AWQ among them, and loaded back; "
    "EXL2 needs CUDA and was not run. Reading text first helped: at 4 bits, on our 135M base, GPTQ took back {table.gptq_4_share:.0%} of what rounding to nearest lost, "
    "AWQ {table.awq_4_share:.0%}. Grid and bits count as well: of the real tools' files (one run each) HQQ's, which reads none, raised perplexity by {formats.hqq:.0%}, GPTQ's by {formats.gptq:.0%}, AWQ's by {formats.awq:.0%}, "
    "Q4_K_M's, here mostly 5 bits, by {formats.gguf_q4_k_m:.0%}.",
    records=(
        "formats.loaded",
        "formats.gptq",
        "formats.awq",
        "formats.hqq",
        "formats.gguf_q4_k_m",
        "table.gptq_4_share",
        "table.awq_4_share",
        "table.gptq_4_wins",
        "table.awq_4_wins",
        "whole.as_recorded",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    wins = measured["table.gptq_4_wins"] and measured["table.awq_4_wins"] and measured["whole.as_recorded"]
    return (
        wins
        and measured["formats.loaded"] >= 6
        and all(0 < measured[f"formats.{name}"] < 0.5 for name in ("gptq", "awq", "gguf_q4_k_m"))
    )
