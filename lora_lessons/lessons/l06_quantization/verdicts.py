"""Verdicts of lesson 06: is QLoRA's base INT4?

For each claim of the page: a sentence, and the condition on the records that decides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CORRECTED, claim


@claim(
    "G14",
    "06_quantization",
    says="QLoRA quantizes the frozen base to 4-bit (INT4) during training",
    verdict=CORRECTED,
    sentence="4-bit, yes: {bits.double:.3f} bits for each quantized weight, scales included (embeddings and norms stay in 16). INT4, no: NF4's 16 levels are "
    "quantiles of a normal distribution. In blocks of 64 our base's perplexity, rounded once before, rose to {perplexity.nf4:.2f} times with NF4 and to "
    "{perplexity.int4:.2f} times with int4's even steps. During training, no: it is rounded once, before; each layer looks its levels up when it runs.",
    records=(
        "bits.double",
        "nf4.published",
        "perplexity.nf4",
        "perplexity.int4",
        "apart.int4",
        "bnb.same",
        "bnb.as_dequantized",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    ours = measured["nf4.published"] and measured["bnb.same"] == 210 and measured["bnb.as_dequantized"]
    return (
        ours
        and abs(measured["bits.double"] - 4.127) < 0.01
        and measured["perplexity.nf4"] < measured["perplexity.int4"]
        and measured["apart.int4"]
    )
