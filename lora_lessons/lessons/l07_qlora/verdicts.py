"""Verdicts of lesson 07: what the 4-bit base saves, and what it costs.

For each claim of the page: a sentence, and the condition on the records that decides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, CORRECTED, claim


@claim(
    "G14",
    "07_qlora",
    says="QLoRA quantizes the frozen base to 4-bit (INT4) during training",
    verdict=CORRECTED,
    sentence="The base is packed once, before training, to a size {byhand.shrinks:.2f} times smaller than fp32, and stays as it is; only A and B train, in 32 bits. "
    "Each layer dequantizes its weight on the way forward and again on the way back, and keeps {kept.ours} bytes for that ({kept.naive:,} if one is careless). And it is NF4, not INT4 (lesson 06).",
    records=(
        "byhand.shrinks",
        "kept.ours",
        "kept.naive",
        "library.same",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    return (
        7.5 < measured["byhand.shrinks"] < 8
        and measured["kept.ours"] == 0 < measured["kept.naive"]
        and measured["library.same"]
    )


@claim(
    "G16",
    "07_qlora",
    says="QLoRA's quality is nearly identical to LoRA at 16-bit",
    verdict=CONDITION,
    sentence="It depends on the model. Published: QLoRA reports MMLU 53.1 against 53.0 for 7B to 65B; litgpt's Llama-2-7B ends at a training loss of 1.013 in NF4 against 0.870 in bf16. "
    "Measured by us: on a 135M base that was rounded once before, the same 24 steps ended {cost.nf4_double:.2f} nats above 16-bit with NF4 and double quantization, {cost.fp4:.2f} with FP4 and "
    "{cost.int4:.2f} with int4 (three seeds). On an encoder that was never rounded, NF4 ended {control.nf4_double:.3f} nats from 16-bit over eight seeds, which cannot be told from no cost, "
    "on a task that it had nearly solved. Neither says what a 7B does.",
    records=(
        "cost.nf4_double",
        "cost.nf4_double_apart",
        "cost.fp4",
        "cost.int4",
        "cost.before",
        "control.nf4_double",
        "control.nf4_double_apart",
        "live.near",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    won_back = 0 < measured["cost.nf4_double"] < measured["cost.before"]
    return (
        won_back
        and measured["cost.nf4_double_apart"]
        and measured["cost.nf4_double"] < measured["cost.fp4"]
        and not measured["control.nf4_double_apart"]
        and abs(measured["control.nf4_double"]) < measured["cost.nf4_double"]
        and measured["live.near"]
    )
