"""Verdicts of lesson 04: merging, and how large an adapter's file is.

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
    sentence="In fp32 both give the same: held-out loss {merge.loss_apart} apart, {merge.loss_merged} merged. Apart, the base comes back bit for bit "
    "({apart.restored}); merged and unmerged, it does not ({merge.restored}). Merged into bf16 weights, this small update is off by "
    "{merge.error:.0%} of its energy; here the loss went from {merge.loss_apart_bf16} to {merge.loss_merged_bf16}. Keep the adapter's file.",
    records=(
        "merge.loss_apart",
        "merge.loss_merged",
        "apart.restored",
        "merge.restored",
        "merge.error",
        "merge.error_8x",
        "merge.loss_apart_bf16",
        "merge.loss_merged_bf16",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    same = abs(measured["merge.loss_apart"] - measured["merge.loss_merged"]) < 1e-3
    return (
        same
        and measured["apart.restored"]
        and not measured["merge.restored"]
        and measured["merge.error"] > 0.01 > measured["merge.error_8x"]
    )


@claim(
    "G11",
    "04_peft",
    says="Adapters are small files, typically 50–500 MB, that modify the base model's behaviour",
    verdict=CONDITION,
    sentence="Small, yes: in 16-bit {size.least} to {size.most} MB for usual settings on three 7B shapes, at most {size.share_most}% of the base. "
    "Within 50–500 MB lie {size.in_band_16} of {size.settings} settings in 16-bit and {size.in_band_32} in fp32. The size is "
    "bytes × r × the sum of (d + k), so name r, the targets and the precision.",
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
