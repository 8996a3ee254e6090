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
    says="LoRA inserts small low-rank matrices at key points; only they train, the base model stays frozen",
    verdict=HOLDS,
    sentence="{grads.B_step0} pairs of A and B were inserted. At step 0 every B got a gradient, from step 1 every A too, the base none. "
    "Taken off again, the largest change of a logit was {noop.detached}. Lesson 03 compares the weights after training.",
    records=(
        "lora.layers",
        "grads.B_step0",
        "grads.A_step1",
        "grads.base",
        "grads.base_step1",
        "noop.nudged",
        "noop.detached",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    all_learn = measured["grads.B_step0"] == measured["grads.A_step1"] == measured["lora.layers"] > 0
    return (
        all_learn
        and measured["grads.base"] == measured["grads.base_step1"] == 0
        and measured["noop.nudged"] > 0 == measured["noop.detached"]
    )


@claim(
    "G04",
    "02_lora_layer",
    says="LoRA cuts the trainable parameter count by 90–99%",
    verdict=CORRECTED,
    sentence="Mostly by more: {count.over_99} of the {count.settings} settings counted here (3 shapes × 3 targets × 3 ranks) cut over 99% (range "
    "{count.cut_least:.1f}% to {count.cut_most:.2f}%). On Llama-2-7B the page's range is all-linear at r = {count.r_at_99} to {count.r_at_90}. A smaller model is "
    "cut less: {base.cut:.1f}% on our base at r = 8.",
    records=(
        "count.over_99",
        "count.settings",
        "count.cut_least",
        "count.cut_most",
        "count.r_at_99",
        "count.r_at_90",
        "base.cut",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    return measured["count.over_99"] > measured["count.settings"] / 2 and measured["count.cut_least"] > 90


@claim(
    "G05",
    "02_lora_layer",
    says="A typical LoRA for a 7B model has 20–30 million trainable parameters",
    verdict=CONDITION,
    sentence="For {count.in_band} of the {count.settings} settings counted here on three 7B shapes, such as all linear layers at r = 8 of Mistral-7B "
    "({count.mistral_r8}; Llama-2-7B: {count.llama2_r8}). The count is r·(d + k) summed over the targets, so always name r and the targets.",
    records=(
        "count.in_band",
        "count.settings",
        "count.mistral_r8",
        "count.llama2_r8",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    return 0 < measured["count.in_band"] < measured["count.settings"] and 20e6 <= measured["count.mistral_r8"] <= 30e6


@claim(
    "G08",
    "02_lora_layer",
    says="The update is decomposed into A and B so that ΔW ≈ A × B",
    verdict=CORRECTED,
    sentence="ΔW = (α/r)·B·A, exact by construction (up to fp32 rounding), of rank {product.rank} here; B (d×r) comes first: on a {product.ba_shape} weight, A·B is "
    "{product.ab_shape}. What may be approximate is whether a good update has low rank: lesson 03.",
    records=(
        "product.exact",
        "product.rank",
        "product.ba_shape",
        "product.ab_shape",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    small = f"{measured['product.rank']}×{measured['product.rank']}"
    return measured["product.exact"] and measured["product.ab_shape"] == small != measured["product.ba_shape"]
