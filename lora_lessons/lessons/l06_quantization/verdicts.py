"""Verdicts of lesson 06: is QLoRA's base INT4?

For each claim of the page: a sentence, and what the records make of the claim. None is “not what we saw”.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CORRECTED, claim
from ...experiments import sizes


@claim(
    "G14",
    "06_quantization",
    says="QLoRA quantizes the frozen base to 4-bit (INT4) during training",
    written_for=CORRECTED,
    at_sizes=sizes.at_sizes("NF4 before int4, untrained", "NF4 before int4 on the persona"),
    sentence="4-bit is right: {bits.double:.3f} bits for each quantized weight, scales included (embeddings and norms "
    "are not packed). INT4 is not: NF4's 16 marks are quantiles of a normal distribution, and here they lose less than "
    "int4's 15 evenly spaced ones. In blocks of 64 our base's perplexity rose to {perplexity.nf4:.2f} times with NF4 "
    "and to {perplexity.int4:.2f} times with int4's even steps. The order depends on the text: on lesson 07's persona, "
    "before any training, int4 lost less than NF4 of both larger bases, and FP4 less than NF4 of the smallest and the "
    "largest (one run each of the larger ones). All three bases had been rounded to 4 bits before; on an encoder that "
    "never was, NF4 moved the sentence embeddings less than int4. Nor does it happen during training: the base is "
    "rounded once, before, and each layer looks its marks up when it runs.",
)
def g14(measured: Mapping[str, Any]) -> str | None:
    four_bits = abs(measured["bits.double"] - 4.127) < 0.01
    # by distances instead of borders, a learner's own codes may miss a bit or two (exercise 06.6)
    is_nf4 = measured["bnb.same"] >= 200 and measured["bnb.as_dequantized"]
    loses_less = measured["perplexity.nf4"] < measured["perplexity.int4"] and measured["apart.int4"]
    on_the_encoder_too = measured["control.nf4_beats_int4"]
    return CORRECTED if four_bits and is_nf4 and loses_less and on_the_encoder_too else None
