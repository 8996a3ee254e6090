"""Verdicts of lesson 09: merging into 4 bits, and what adapters are made for.

For each claim of the page: a sentence, and the condition on the records that decides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, claim


@claim(
    "G10",
    "09_adapters",
    says="After training, the weights can be merged into the base or kept apart as an adapter",
    verdict=CONDITION,
    sentence="Kept apart, nothing is lost, and a swap leaves the base bit for bit. Merged, it depends into what: a 4-bit base dequantized to 16 bits first, {path.dequantized.kl:.0e} nats "
    "from the unmerged model; the original 16-bit base, {path.original.kl:.2f}; into the 4-bit weights themselves, {path.into_4_bits.kl:.2f}, where no adapter at all is "
    "{path.none.kl:.2f}: this update is small beside a 4-bit step, and a larger one would keep more. And a merge is undone from a copy, not by subtracting.",
    records=(
        "path.dequantized.kl",
        "path.original.kl",
        "path.into_4_bits.kl",
        "path.none.kl",
        "back.from_a_copy",
        "swap.base_unchanged",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    paths = [measured[f"path.{name}.kl"] for name in ("dequantized", "original", "into_4_bits")]
    return (
        paths == sorted(paths) and paths[0] < 0.01 and measured["back.from_a_copy"] and measured["swap.base_unchanged"]
    )


@claim(
    "G12",
    "09_adapters",
    says="Adapters exist for personas and roleplay, domain writing (medical, legal), coding style, instruction following",
    verdict=CONDITION,
    sentence="Four of them, {file.code_style:.1f} MB each, on one base: answers that keep every rule of their task went from none to {kept.persona:.0f}% (a persona), "
    "{kept.plain_language:.0f}% (legal clauses in plain language), {kept.code_style:.0f}% (coding style) and {kept.strict_json:.0f}% (a strict format), by a program's judgement: "
    "of form, not of truth. And a form leaks: {drift.persona:.0f}% of everyday answers ended with the persona's closing sentence, unasked. Medical writing was not tried.",
    records=(
        "file.code_style",
        "kept.persona",
        "kept.plain_language",
        "kept.code_style",
        "kept.strict_json",
        "drift.persona",
        "gain.persona",
        "gain.plain_language",
        "gain.code_style",
        "gain.strict_json",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    tasks = ("persona", "plain_language", "code_style", "strict_json")
    return (
        all(measured[f"gain.{task}"] > 0.1 and measured[f"kept.{task}"] > 0 for task in tasks)
        and measured["drift.persona"] > 0
    )
