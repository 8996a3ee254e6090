"""What a 4-bit base costs LoRA, seed by seed, on two bases: read from the recordings that ship with the course."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...experiments import never_rounded, sweep

RIVALS = ("nf4+double", "fp4", "int4")
Runs = Mapping[str, Sequence[Mapping[str, Any]]]


def on_our_base() -> dict[str, list[dict[str, Any]]]:
    """SmolLM2-135M, rounded once before it reached us: three seeds of lesson 03's training per form of the base."""
    runs = sweep.read_table(sweep.recorded("lesson_07_bases"))
    return {base: [run for run in runs if run["base_format"] == base] for base in sweep.BASES}


def on_the_control() -> dict[str, list[dict[str, Any]]]:
    """all-MiniLM-L6-v2, never rounded: the small task of `never_rounded`, by form of the base."""
    runs = never_rounded.recorded()["runs"]
    return {base: [run for run in runs if run["base"] == base] for base in ("16-bit", *RIVALS)}


def costs(on: Runs) -> dict[str, sweep.Summary]:
    """How far each 4-bit base ends above 16-bit (nats, held-out), seed by seed, with its 95% interval."""
    return {base: sweep.paired(on[base], on["16-bit"]) for base in RIVALS}
