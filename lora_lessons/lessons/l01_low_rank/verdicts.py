"""Verdicts of lesson 01: are trained weights of low rank?

For each claim of the page: a sentence, and what the records make of the claim. None is “not what we saw”.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, CORRECTED, HOLDS, claim
from ...experiments import sizes


@claim(
    "G07",
    "01_low_rank",
    says="In transformers most weight matrices can be approximated as lower-rank structures",
    written_for=CORRECTED,
    at_sizes=sizes.at_sizes("W bears no cut"),
    sentence="Not if you cut W itself and do not retrain. We cut every W to as many numbers as it had before, so "
    "nothing was saved yet, and perplexity more than doubled, our bar at every size: of two larger bases it rose "
    "eight- to ninefold, and of our smallest, on {perplexity.tokens} tokens, from {perplexity.intact:.1f} by a factor "
    "of {perplexity.break_even_factor:,.0f} (a little less below, where the same base computed in 16 bits and not in "
    "32). All three had been rounded to 4 bits before. When one kind of matrix was cut at a time, {kinds.survive} of 7 "
    "kinds stayed within 20%<!--calc 1/5-->, and they hold {kinds.survive_weights:.0%} of the weights. The median "
    "matrix needs {spectrum.share:.1%} of its full rank for 90%<!--calc 9/10--> of its energy; Gaussian noise needs "
    "{spectrum.noise_share:.1%}. Cuts that take the inputs into account do far better (published). LoRA does not need "
    "this claim: it only assumes that the update has low rank (lesson 03).",
)
def g07(measured: Mapping[str, Any]) -> str | None:
    times = measured["perplexity.break_even_factor"]
    if times < 1.2:
        return HOLDS
    most_weights_survive = measured["kinds.survive_weights"] >= 0.5
    unlike_noise = measured["spectrum.share"] <= 0.5 * measured["spectrum.noise_share"]
    if most_weights_survive or unlike_noise:
        return CONDITION
    return CORRECTED if times > 2 else None
