"""Verdicts of lesson 03: memory, compute, and the rank of an update.

For each claim of the page: a sentence, and the condition on the records that decides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, CORRECTED, HOLDS, claim


@claim(
    "G01",
    "03_train_lora",
    says="Only A and B train; the base model stays frozen",
    verdict=HOLDS,
    sentence="After training every number of the base is what it was, bit for bit: {base.unchanged}.",
    records=("base.unchanged",),
)
def _(measured: Mapping[str, Any]) -> bool:
    return measured["base.unchanged"] is True


@claim(
    "G02",
    "03_train_lora",
    says="Modifying a 7B model directly means storing a full 14 GB copy of changed weights",
    verdict=HOLDS,
    sentence="In 16 bits a full copy takes {copy_gb.llama} GB for Llama-2-7B, {copy_gb.mistral} GB for Mistral-7B and {copy_gb.qwen2.5} GB for Qwen2.5-7B: "
    "two bytes a parameter, and a “7B” has 6.7 to 7.6 billion.",
    records=(
        "copy_gb.llama",
        "copy_gb.mistral",
        "copy_gb.qwen2.5",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    return all(13 <= measured[f"copy_gb.{name}"] <= 15.5 for name in ("llama", "mistral", "qwen2.5"))


@claim(
    "G07",
    "03_train_lora",
    says="In transformers most weight matrices can be approximated as lower-rank structures",
    verdict=CORRECTED,
    sentence="What leans to few directions is the change of W: after a short run with AdamW, 90% of its energy lies in {update.rank90:.0%} of the full rank (median), against "
    "{update.rank90_noise:.0%} for noise of the same shape. It is lower, not low. LoRA at rank 8 still reached {share.improvement:.0f}% of full "
    "fine-tuning's improvement here: it needs a good update of low rank to exist, not W or the free update to have one.",
    records=(
        "update.rank90",
        "update.rank90_noise",
        "share.improvement",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    return (
        0.05 < measured["update.rank90"] < 0.8 * measured["update.rank90_noise"] and measured["share.improvement"] > 80
    )


@claim(
    "G09",
    "03_train_lora",
    says="Training only A and B takes a fraction of the compute and memory of training W",
    verdict=CONDITION,
    sentence="Of the memory for weights, gradients and AdamW in fp32, activations not counted, yes: {memory.ratio:.0%} of full fine-tuning's. Of the compute, a large fraction: "
    "{compute.ratio:.0%} of the arithmetic, because the passes through the frozen W stay.",
    records=(
        "memory.ratio",
        "compute.ratio",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    return measured["memory.ratio"] < 0.4 and 0.5 < measured["compute.ratio"] < 0.9
