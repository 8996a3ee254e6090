"""Verdicts of lesson 04 and its side trip: merging, and how large an adapter's file is.

For each claim of the page: a sentence, and the condition on the records that decides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, claim


@claim(
    "G10",
    "04_peft",
    says="After training, the weights can be merged into the base or kept apart as an adapter",
    verdict=CONDITION,
    sentence="In fp32 both give the same held-out loss: {merge.loss_apart:.3f} apart and {merge.loss_merged:.3f} merged. But only the way apart can be undone. Take the "
    "adapter off, and does the base come back bit for bit? {apart.restored}. Merge it and subtract it again, and does it? {merge.restored}. So keep the adapter's file.",
    records=("merge.loss_apart", "merge.loss_merged", "merge.close", "apart.restored", "merge.restored"),
)
def _(measured: Mapping[str, Any]) -> bool:
    same = abs(measured["merge.loss_apart"] - measured["merge.loss_merged"]) < 1e-3
    return same and measured["merge.close"] and measured["apart.restored"] and not measured["merge.restored"]


@claim(
    "G10",
    "04_merging_in_bf16",
    says="After training, the weights can be merged into the base or kept apart as an adapter",
    verdict=CONDITION,
    sentence="Merging into 16-bit weights rounds the sum. This small update lost {merge.error:.0%} of its energy to that, and one eight times its size only "
    "{merge.error_8x:.1%}. Single logits moved, but the held-out loss hardly did: {merge.loss_apart_bf16:.3f} apart, {merge.loss_merged_bf16:.3f} merged.",
    records=("merge.error", "merge.error_8x", "merge.loss_apart_bf16", "merge.loss_merged_bf16"),
)
def _(measured: Mapping[str, Any]) -> bool:
    return measured["merge.error"] > 0.01 > measured["merge.error_8x"]


@claim(
    "G11",
    "04_peft",
    says="Adapters are small files, typically 50–500 MB, that modify the base model's behaviour",
    verdict=CONDITION,
    sentence="They are small: {size.least:.0f} to {size.most:.0f} MB in 16 bits for usual settings on three 7B shapes, at most {size.share_most:.1f}% of the base. "
    "But only {size.in_band_16} of {size.settings} settings lie within 50–500 MB in 16 bits, and {size.in_band_32} in fp32. The size depends on the rank, the "
    "targets, the precision and the base's shapes, and not on what it learned.",
    records=(
        "size.least",
        "size.most",
        "size.share_most",
        "size.in_band_16",
        "size.in_band_32",
        "size.settings",
        "adapter.moves",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    some = all(0 < measured[f"size.in_band_{bits}"] < measured["size.settings"] for bits in (16, 32))
    return some and measured["size.share_most"] < 5 and measured["adapter.moves"]
