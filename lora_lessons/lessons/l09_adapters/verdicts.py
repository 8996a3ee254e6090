"""Verdicts of lesson 09 and its side trip: what adapters are made for, and what a merge keeps.

For each claim of the page: a sentence, and what the records make of the claim. None is “not what we saw”.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, CORRECTED, HOLDS, claim
from ...experiments import sizes


@claim(
    "G10",
    "09_merging",
    says="After training, the weights can be merged into the base or kept apart as an adapter",
    written_for=CONDITION,
    at_sizes=sizes.at_sizes("merging into 4 bits loses"),
    sentence="Both work while the merged weights keep 16 bits: the strict JSON adapter keeps every rule in "
    "{survives.merged.kept:.0f}% of its answers (apart: {survives.unmerged.kept:.0f}%), and in "
    "{survives.then_nf4.kept:.0f}% when the merged model is then rounded to NF4 (kept apart on an NF4 base: "
    "{survives.nf4_apart.kept:.0f}%; 40 answers, these intervals overlap). Merged into a base that is in NF4 already "
    "it keeps {survives.into_nf4.kept:.0f}%, and no adapter at all {survives.base.kept:.0f}%: {left.nf4:.0f}% of this "
    "update is left there, against {left.merged_first:.0f}% when it is merged first. How much depends on how large the "
    "update is: if it were sixteen times larger, {left.nf4_x16:.0f}% of it would be left, and a base of half a billion "
    "kept most of its gain (below). A base in bf16 keeps {left.bf16:.0f}% of it, but only {left.bf16_small:.0f}% of an "
    "update a sixteenth as large.",
)
def g10(measured: Mapping[str, Any]) -> str | None:
    kept = {way: measured[f"survives.{way}.kept"] for way in ("unmerged", "merged", "then_nf4", "into_nf4", "base")}
    if abs(kept["merged"] - kept["unmerged"]) >= 15 or measured["left.bf16"] < 90:
        return CORRECTED
    if kept["into_nf4"] >= kept["base"] + 20:
        return HOLDS
    lost_in_nf4 = kept["then_nf4"] > kept["into_nf4"] + 20 and measured["path.into_4_bits.kl"] > 0.05
    snapped_back = measured["left.nf4"] < 20 < 80 < measured["left.merged_first"]
    return CONDITION if lost_in_nf4 and snapped_back else None


@claim(
    "G12",
    "09_adapters",
    says=(
        "Adapters exist for personas and roleplay, domain writing (medical, legal), coding style, instruction following"
    ),
    written_for=CONDITION,
    sentence="We made four of them, {file.persona:.1f} MB each, on one 135M base: answers that keep every rule of "
    "their task went from none to {kept.persona:.0f}% (a persona), {kept.plain_language:.0f}% (legal clauses in plain "
    "language), {kept.code_style:.0f}% (a coding style) and {kept.strict_json:.0f}% (a strict format); with rules and "
    "examples in a prompt instead, {told.persona:.0f}%, {told.plain_language:.0f}%, {told.code_style:.0f}% and "
    "{told.strict_json:.0f}%. How good they are is another question: a program judged form, not truth, and a form "
    "leaks, for {live.drift:.0f}% of everyday answers ended with the persona's closing sentence, unasked. Not tried "
    "were medical or legal writing (ours turns it into plain language) and following instructions in general. A base "
    "this small follows prompts poorly, so the comparison says little of larger ones.",
)
def g12(measured: Mapping[str, Any]) -> str | None:
    tasks = ("persona", "plain_language", "code_style", "strict_json")
    learned = [measured[f"gain.{task}"] > 0.1 and measured[f"kept.{task}"] > measured[f"told.{task}"] for task in tasks]
    if not all(learned):
        return None if any(learned) else CORRECTED
    # medical and legal writing, and instructions in general, have no adapter here
    return CONDITION
