"""Verdicts of lesson 12: what LoRA saves of the work, and what no card of ours has run.

For each claim of the page: a sentence, and what the records make of the claim. None is “not what we saw”.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, CORRECTED, HOLDS, NOT_TESTED, claim


@claim(
    "G09",
    "12_faster",
    says="Training only A and B takes a fraction of the compute and memory of training W",
    written_for=CONDITION,
    sentence="Memory, yes: weights, gradients and moments take {full.memory:.0%} of full fine-tuning's (activations "
    "come on top in both). Compute, about two thirds: {full.arithmetic:.0%} of the arithmetic in the layers. That is "
    "counted and not timed: this lesson's timings compare two ways to train LoRA, and say nothing of full fine-tuning.",
)
def g09(measured: Mapping[str, Any]) -> str | None:
    memory, arithmetic = measured["full.memory"], measured["full.arithmetic"]
    if memory >= 0.4 or arithmetic >= 0.9:
        return CORRECTED
    if arithmetic <= 0.5:
        return HOLDS
    return CONDITION if 0.6 < arithmetic < 0.75 else None


@claim(
    "G17",
    "12_faster",
    says="Fine-tune a 7B on one consumer GPU with Unsloth and LoRA or QLoRA, step by step",
    written_for=NOT_TESTED,
    sentence="Neither a consumer GPU nor Unsloth ran here. Others have published 3,726<!--published "
    "llama_factory.unsloth_speed--> tokens per second with Unsloth against 2,415<!--published "
    "llama_factory.plain_speed--> without it (Llama-2-7B in 4 bits, LLaMA-Factory; FlashAttention 2 on Unsloth's side "
    "only). What did run here are ideas of the same kind, on a processor: backward passes written out and a loss "
    "computed only where it is needed kept {kept.less:.0%} less for the way back, with the same loss and gradients.",
)
def g17(measured: Mapping[str, Any]) -> str | None:
    return NOT_TESTED if measured["rungs.same"] and measured["kept.less"] > 0.1 else None
