"""Verdict of lesson 13: what a 70B takes on a few consumer cards.

For the claim of the page: a sentence, and what the records make of the claim. None is “not what we saw”.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, CORRECTED, HOLDS, claim


@claim(
    "G15",
    "13_beyond_one_gpu",
    says="QLoRA made fine-tuning 70B on a small cluster of consumer GPUs feasible",
    written_for=CONDITION,
    sentence="Others did it on two cards of 24<!--published data_sheets.rtx_4090_gb--> GB (Answer.AI, published: Llama-2-70B, FSDP1). With FSDP the condition is memory beside the cards: for Llama-3-70B by FSDP2 we plan "
    "{two.offload:.0f} GB on each of two cards if the shards wait in the computer, which holds {two.host:.0f} GB then and {two.peak:.0f} GB at the start; without that {two.plain:.0f} GB, too much, and {eight.plain:.0f} GB on each of eight. "
    "Published runs took up to {published.card_under:.0%} more on a card than our plan. No card ran here, and we know of no published 70B by FSDP2. On processors, two ranks {ranks.same_losses:had|did not have} the losses of one.",
    records=(
        "two.plain",
        "two.offload",
        "two.host",
        "two.peak",
        "eight.plain",
        "card.room",
        "ranks.same_losses",
        "published.card_under",
    ),
)
def _(measured: Mapping[str, Any]) -> str | None:
    room = measured["card.room"]
    if not measured["ranks.same_losses"] or measured["published.card_under"] >= 0.5:
        return None
    if measured["two.offload"] > room:
        return CORRECTED
    if measured["two.plain"] <= room and measured["two.peak"] <= 64:
        return HOLDS
    return CONDITION if measured["two.plain"] > room >= measured["eight.plain"] and measured["two.peak"] > 64 else None
