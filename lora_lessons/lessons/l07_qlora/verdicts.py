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
    sentence="The base was packed once, before training, to a size {byhand.shrinks:.2f} times smaller than fp32, and stayed as it was; what trains is A and B, in 32 bits. "
    "Each layer dequantizes its weight forward and again backward ({kept.ours} bytes kept for that, {kept.naive:,} if one is careless). NF4, not INT4 (lesson 06).",
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
    sentence="Published for 7B to 65B: yes (MMLU 53.1 against 53.0). Our evidence cannot say that of a 7B, and says it is not free for every model: on a 135M base that was rounded "
    "once before, the same 24 steps ended {cost.nf4_double:.2f} nats above 16-bit with NF4 and double quantization, {cost.fp4:.2f} with FP4, {cost.int4:.2f} with int4 (three seeds).",
    records=(
        "cost.nf4_double",
        "cost.nf4_double_apart",
        "cost.fp4",
        "cost.int4",
        "cost.before",
        "live.near",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    won_back = 0 < measured["cost.nf4_double"] < measured["cost.before"]
    return (
        won_back
        and measured["cost.nf4_double_apart"]
        and measured["cost.nf4_double"] < measured["cost.fp4"]
        and measured["live.near"]
    )
