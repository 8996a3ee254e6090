"""Verdicts of lesson 07: what the 4-bit base saves, and what it costs.

For each claim of the page: a sentence, and what the records make of the claim. None is “not what we saw”.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, CORRECTED, HOLDS, claim
from ...experiments import sizes


@claim(
    "G14",
    "07_qlora",
    says="QLoRA quantizes the frozen base to 4-bit (INT4) during training",
    written_for=CORRECTED,
    sentence="The base is packed once, before training, to a size {byhand.shrinks:.2f} times smaller than fp32, and "
    "stays as it is; only A and B train, in 32 bits. Each layer dequantizes its weight on the way forward and again on "
    "the way back, and keeps {kept.ours} bytes for that ({kept.naive:,} if one is careless). And it is NF4, "
    "not INT4 (lesson 06).",
)
def g14(measured: Mapping[str, Any]) -> str | None:
    packed_before = 7.5 < measured["byhand.shrinks"] < 8
    keeps_nothing = measured["kept.ours"] == 0 < measured["kept.naive"]
    return CORRECTED if packed_before and keeps_nothing and measured["library.same"] else None


@claim(
    "G16",
    "07_qlora",
    says="QLoRA's quality is nearly identical to LoRA at 16-bit",
    written_for=CONDITION,
    at_sizes=sizes.at_sizes("NF4 costs something", "NF4 costs little"),
    sentence="It cost our smallest base something; of three others we could not tell. A 135M base ended the same 24 "
    "steps, at one rate that was never searched for NF4, {cost.nf4_double:.2f} nats above 16-bit with NF4 and double "
    "quantization, {cost.fp4:.2f} with FP4 and {cost.int4:.2f} with int4 (three seeds). Of two larger bases one run "
    "each is not told apart from no cost; all three had been rounded to 4 bits before. An encoder that was never "
    "rounded ended {control.nf4_double:.3f} nats from 16-bit with NF4 over eight seeds, not told apart either, on a "
    "task that it had nearly solved. None of them says what a 7B does. Published for larger models, a small cost "
    "rather than none: in litgpt's table QLoRA ends at a higher validation loss in all of 11<!--published "
    "litgpt.models--> models, by 0.009<!--calc published:litgpt.mistral_7b.qlora - published:litgpt.mistral_7b.lora--> "
    "(Mistral-7B) to 0.104<!--calc published:litgpt.gemma_2b.qlora - published:litgpt.gemma_2b.lora--> nats "
    "(gemma-2b), though not all pairs have the same micro-batch. On MMLU, QLoRA's authors see none: 53.1%<!--published "
    "qlora.table_4.nf4_double--> against 53.0%<!--published qlora.table_4.bf16-->, means over 7B to 65B.",
)
def g16(measured: Mapping[str, Any]) -> str | None:
    costs, costs_the_encoder = measured["cost.nf4_double_apart"], measured["control.nf4_double_apart"]
    if costs and costs_the_encoder:
        return CORRECTED
    if not (costs or costs_the_encoder):
        return HOLDS
    won_back = 0 < measured["cost.nf4_double"] < measured["cost.before"]
    least = measured["cost.nf4_double"] < measured["cost.fp4"]
    less_there = abs(measured["control.nf4_double"]) < measured["cost.nf4_double"]
    return CONDITION if costs and won_back and least and less_there else None
