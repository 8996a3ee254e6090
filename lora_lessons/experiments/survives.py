"""Does the adapter survive? What was recorded of one adapter, merged and rounded in every way."""

from __future__ import annotations

from typing import Any

from . import recordings

NAME = "lesson_09_survives"

# The ways, in the order of the table.
TITLES = {
    "unmerged": "kept apart: 16-bit base + adapter",
    "base": "no adapter",
    "merged": "merged, 16 bits",
    "nf4_apart": "kept apart: NF4 base + adapter",
    "into_nf4": "merged into the NF4 base",
    "then_nf4": "merged, then NF4",
    "gguf-q8_0": "merged, then Q8_0",
    "gguf-q4_k_m": "merged, then Q4_K_M",
    "gguf-q4_k_m-imatrix": "merged, then Q4_K_M, importance matrix",
    "gptq": "merged, then GPTQ",
    "awq": "merged, then AWQ",
    "hqq": "merged, then HQQ",
}


def recorded() -> dict[str, Any]:
    """The recording that lesson 09 quotes. Raises FileNotFoundError when the checkout lacks it."""
    return recordings.recorded(NAME)
