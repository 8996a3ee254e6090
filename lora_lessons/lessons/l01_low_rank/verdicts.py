"""Verdicts of lesson 01: are trained weights of low rank?

For each claim of the page: a sentence, and the condition on the records that decides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CORRECTED, claim


@claim(
    "G07",
    "01_low_rank",
    says="In transformers most weight matrices can be approximated as lower-rank structures",
    verdict=CORRECTED,
    sentence="Not by cutting W itself (plain SVD, no retraining), not in this base. With every W cut to equal storage, perplexity on {perplexity.tokens} "
    "tokens rose from {perplexity.intact:.0f} by a factor of {perplexity.break_even_factor:,.0f}. One kind at a time, {kinds.survive} of 7 stayed "
    "within 20%; they hold {kinds.survive_weights:.0%} of the weights. Keeping 90% of the energy takes {spectrum.share:.0%} of full rank in the "
    "median matrix; Gaussian noise of those shapes takes {spectrum.noise_share:.0%}. Cuts that look at the inputs do far better (published). LoRA does not need this claim: it assumes a low-rank update (lesson 03).",
    records=(
        "perplexity.tokens",
        "perplexity.intact",
        "perplexity.break_even_factor",
        "kinds.survive",
        "kinds.survive_weights",
        "spectrum.share",
        "spectrum.noise_share",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    return (
        measured["perplexity.break_even_factor"] > 10
        and measured["kinds.survive_weights"] < 0.5
        and measured["spectrum.share"] > 0.5 * measured["spectrum.noise_share"]
    )
