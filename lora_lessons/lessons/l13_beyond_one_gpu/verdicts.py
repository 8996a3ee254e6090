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
    sentence="Answer.AI did it on two cards of 24<!--published data_sheets.rtx_4090_gb--> GB. PEFT, on larger cards, "
    "and axolotl, which names none, published runs that would fit there (all three: {published.two_least:.0f} to "
    "{published.two_most:.0f} GB on each of two, FSDP1, Llama-2-70B with up to 2,048<!--published answer_ai.context--> "
    "tokens and Llama-3-70B with 512<!--published axolotl.context-->). The condition is memory beside the cards, where "
    "the shards wait: by plan for Llama-3-70B and FSDP2 the computer holds {two.host:.0f} GB, and {two.peak:.0f} GB at "
    "the start. Without that, each of two cards would hold {two.plain:.0f} GB, too much, and each of eight "
    "{eight.plain:.0f} GB. Where shards wait in the computer our plan is too low: those runs held "
    "{published.card_least:.0%} to {published.card_under:.0%} more on a card, so two cards rest on the runs and not on "
    "the plan. No card ran here, and we know of no published 70B by FSDP2. On processors, two ranks "
    "{ranks.same_losses:had|did not have} the losses of one.",
)
def g15(measured: Mapping[str, Any]) -> str | None:
    room, others_fit = measured["card.room"], measured["published.two_most"] <= measured["card.room"]
    if not measured["ranks.same_losses"]:
        return None
    # The plan errs on the low side, so what it calls too much is too much; that two cards do, only a run can show.
    if measured["two.offload"] > room or not others_fit:
        return CORRECTED
    if measured["two.plain"] <= room and measured["two.peak"] <= 64:
        return HOLDS
    return CONDITION if measured["two.plain"] > room >= measured["eight.plain"] and measured["two.peak"] > 64 else None
