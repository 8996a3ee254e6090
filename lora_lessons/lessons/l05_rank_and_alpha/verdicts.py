"""Verdicts of lesson 05: how small is small, and which points are key.

For each claim of the page: a sentence, and what the records make of the claim. None is “not what we saw”.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, HOLDS, claim
from ...experiments import sizes


@claim(
    "G01",
    "05_rank_and_alpha",
    says="LoRA inserts small low-rank matrices at key points; only they train, the base model stays frozen",
    written_for=CONDITION,
    at_sizes=sizes.at_sizes("rank matters little", "rank 1 nearly suffices"),
    sentence="For 96 examples of one voice, rank 1 was a little behind if α was kept. With α = 32 and each rank at "
    "its own rate, it ended {own_rate.behind:.3f} nats above rank 8 ({own_rate.low:.3f} to {own_rate.high:.3f}). With "
    "α = 16 and one rate, {apart.alpha_16} of 21 pairs of ranks from 1 to 64 could be told apart, but three seeds are "
    "few: rank 1 came last in {rank_1.last} of 3. That more data need more rank is published, and not shown here. With "
    "α = 2r, {apart.alpha_2r} pairs could be told apart, because a higher rank then means a larger step. As for the "
    "points, adapters on q and v alone ended at a higher loss at ranks 1, 4 and 64, at a rate tuned for all layers; "
    "Schulman et al. (2025) publish that attention alone loses even with as many numbers.",
)
def g01(measured: Mapping[str, Any]) -> str | None:
    recipe_works = measured["recipe.behind"] < measured["recipe.seeds"]
    ranks_alike = (
        measured["apart.alpha_16"] == 0 < measured["apart.alpha_2r"]
        and 0 < measured["own_rate.low"] < measured["own_rate.behind"] < 0.1
    )
    if not (ranks_alike and recipe_works):
        return None
    return CONDITION if measured["targets.all_below_qv"] else HOLDS
