"""Verdicts of lesson 02: what trains, what stays frozen, and how many numbers that is.

For each claim of the page: a sentence, and the condition on the records that decides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, CORRECTED, HOLDS, claim


@claim(
    "G01",
    "02_lora_layer",
    "LoRA inserts small low-rank matrices at key points; only they train, the base model stays frozen",
    HOLDS,
    "{grads.B_step0} pairs of A and B were inserted. At step 0 every B got a gradient, from step 1 every A too, the base none. "
    "Taken off again, the largest change of a logit was {noop.detached}. Lesson 03 compares the weights after training.",
    "lora.layers",
    "grads.B_step0",
    "grads.A_step1",
    "grads.base",
    "grads.base_step1",
    "noop.nudged",
    "noop.detached",
)
def _(r: Mapping[str, Any]) -> bool:
    all_learn = r["grads.B_step0"] == r["grads.A_step1"] == r["lora.layers"] > 0
    return all_learn and r["grads.base"] == r["grads.base_step1"] == 0 and r["noop.nudged"] > 0 == r["noop.detached"]


@claim(
    "G04",
    "02_lora_layer",
    "LoRA cuts the trainable parameter count by 90–99%",
    CORRECTED,
    "Mostly by more: {count.over_99} of the {count.settings} settings counted here (3 shapes × 3 targets × 3 ranks) cut over 99% (range "
    "{count.cut_least:.1f}% to {count.cut_most:.2f}%). On Llama-2-7B the page's range is all-linear at r = {count.r_at_99} to {count.r_at_90}. A smaller model is "
    "cut less: {base.cut:.1f}% on our base at r = 8.",
    "count.over_99",
    "count.settings",
    "count.cut_least",
    "count.cut_most",
    "count.r_at_99",
    "count.r_at_90",
    "base.cut",
)
def _(r: Mapping[str, Any]) -> bool:
    return r["count.over_99"] > r["count.settings"] / 2 and r["count.cut_least"] > 90


@claim(
    "G05",
    "02_lora_layer",
    "A typical LoRA for a 7B model has 20–30 million trainable parameters",
    CONDITION,
    "For {count.in_band} of the {count.settings} settings counted here on three 7B shapes, such as all linear layers at r = 8 of Mistral-7B "
    "({count.mistral_r8}; Llama-2-7B: {count.llama2_r8}). The count is r·(d + k) summed over the targets, so always name r and the targets.",
    "count.in_band",
    "count.settings",
    "count.mistral_r8",
    "count.llama2_r8",
)
def _(r: Mapping[str, Any]) -> bool:
    return 0 < r["count.in_band"] < r["count.settings"] and 20e6 <= r["count.mistral_r8"] <= 30e6


@claim(
    "G08",
    "02_lora_layer",
    "The update is decomposed into A and B so that ΔW ≈ A × B",
    CORRECTED,
    "ΔW = (α/r)·B·A, exact by construction (up to fp32 rounding), of rank {product.rank} here; B (d×r) comes first: on a {product.ba_shape} weight, A·B is "
    "{product.ab_shape}. What may be approximate is whether a good update has low rank: lesson 03.",
    "product.exact",
    "product.rank",
    "product.ba_shape",
    "product.ab_shape",
)
def _(r: Mapping[str, Any]) -> bool:
    small = f"{r['product.rank']}×{r['product.rank']}"
    return r["product.exact"] and r["product.ab_shape"] == small != r["product.ba_shape"]
