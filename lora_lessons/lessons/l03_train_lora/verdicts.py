"""Verdicts of lesson 03: the frozen base, memory, arithmetic, and the rank of an update.

For each claim of the page: a sentence, and what the records make of the claim. None is “not what we saw”.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, CORRECTED, HOLDS, claim
from ...experiments import sizes


@claim(
    "G01",
    "03_train_lora",
    says="Only A and B train; the base model stays frozen",
    written_for=HOLDS,
    sentence=(
        "We compared every number of the base before and after training. {base.unchanged:They are the same, bit for "
        "bit|They are not the same}."
    ),
)
def g01(measured: Mapping[str, Any]) -> str | None:
    return HOLDS if measured["base.unchanged"] is True else CORRECTED


@claim(
    "G02",
    "03_train_lora",
    says="Modifying a 7B model directly means storing a full 14 GB copy of changed weights",
    written_for=HOLDS,
    sentence="In 16 bits a full copy takes {copy_gb.llama:.1f} GB for Llama-2-7B, {copy_gb.mistral:.1f} GB for "
    "Mistral-7B and {copy_gb.qwen2.5:.1f} GB for Qwen2.5-7B. Each parameter takes two bytes, and a “7B” has "
    "6.7<!--calc copy_gb.llama / 2--> to 7.6<!--calc copy_gb.qwen2.5 / 2--> billion of them.",
)
def g02(measured: Mapping[str, Any]) -> str | None:
    about_14 = [13 <= measured[f"copy_gb.{name}"] <= 15.5 for name in ("llama", "mistral", "qwen2.5")]
    return HOLDS if all(about_14) else CONDITION if any(about_14) else CORRECTED


@claim(
    "G07",
    "03_train_lora",
    says="In transformers most weight matrices can be approximated as lower-rank structures",
    written_for=CORRECTED,
    at_sizes=sizes.at_sizes("ΔW bears a cut"),
    sentence="Lesson 01 looked at the weights; LoRA needs this only of their change. After 24 steps of full "
    "fine-tuning with AdamW (one seed) the change is not of low rank by its energy: 90%<!--calc 9/10--> of it needs "
    "{change.rank90:.0%} of the directions (block 15; noise needs {change.rank90_noise:.0%}). By what it does, it "
    "nearly is: cut to rank 8 in all {change.matrices:.0f} matrices, it keeps {change.energy_8:.0%} of its energy and "
    "{change.left_8:.0f}% of what was learned. That is not all the eight directions' doing: the control, the whole "
    "change shrunk to the same energy, keeps {piece.smaller_learned:.0%}.",
)
def g07(measured: Mapping[str, Any]) -> str | None:
    if measured["change.rank90"] <= 0.05:
        return HOLDS
    survives = measured["change.left_8"] >= 80 and measured["change.energy_8"] <= 0.6
    return CORRECTED if survives and measured["change.rank90"] < 0.8 * measured["change.rank90_noise"] else None


@claim(
    "G09",
    "03_train_lora",
    says="Training only A and B takes a fraction of the compute and memory of training W",
    written_for=CONDITION,
    sentence="Of our 135M base, in fp32: a small fraction of the memory, {memory.ratio:.0%} of what full fine-tuning "
    "holds for weights, gradients and AdamW, activations not counted. A large fraction of the compute: "
    "{compute.ratio:.0%} of the arithmetic, because forward and backward still go through the frozen W.",
)
def g09(measured: Mapping[str, Any]) -> str | None:
    memory, compute = measured["memory.ratio"], measured["compute.ratio"]
    if memory >= 0.4 or compute >= 0.9:
        return CORRECTED
    return HOLDS if compute <= 0.5 else CONDITION
