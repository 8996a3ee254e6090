"""Verdicts of lesson 04: merging, and how large an adapter's file is.

For each claim of the page: a sentence, and what the records make of the claim. None is “not what we saw”.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, CORRECTED, HOLDS, claim


@claim(
    "G10",
    "04_peft",
    says="After training, the weights can be merged into the base or kept apart as an adapter",
    written_for=CONDITION,
    sentence="In fp32 both give the same held-out loss: {merge.loss_apart:.3f} apart and {merge.loss_merged:.3f} "
    "merged. But only the way apart can be undone. Take the adapter off, and the base {apart.restored:comes back bit "
    "for bit|does not come back bit for bit}. Merge it and subtract it again, and the base {merge.restored:comes back "
    "as well|does not come back}. So keep the adapter's file.",
)
def g10(measured: Mapping[str, Any]) -> str | None:
    same = abs(measured["merge.loss_apart"] - measured["merge.loss_merged"]) < 1e-3
    if not (same and measured["merge.close"]):
        return CORRECTED
    if not measured["apart.restored"]:
        return None
    return HOLDS if measured["merge.restored"] else CONDITION


@claim(
    "G11",
    "04_peft",
    says="Adapters are small files, typically 50–500 MB, that modify the base model's behaviour",
    written_for=CONDITION,
    sentence="They are small: {size.least:.0f} to {size.most:.0f} MB in 16 bits for the {size.settings} settings we "
    "counted on three 7B shapes, at most {size.share_most:.1f}% of the base. But only {size.in_band_16} of them lie "
    "within 50–500<!--published glossary.adapter_mb--> MB in 16 bits, and {size.in_band_32} in fp32. The size depends "
    "on the rank, the targets, the precision and the base's shapes, and not on what it learned.",
)
def g11(measured: Mapping[str, Any]) -> str | None:
    if measured["size.share_most"] >= 5 or not measured["adapter.moves"]:
        return CORRECTED
    settings = measured["size.settings"]
    in_band = [measured[f"size.in_band_{bits}"] for bits in (16, 32)]
    if all(count == settings for count in in_band):
        return HOLDS
    return CONDITION if all(0 < count < settings for count in in_band) else None
