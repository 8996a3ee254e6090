"""Verdicts of lesson 02: what trains, what stays frozen, and how many numbers that is.

For each claim of the page: a sentence, and what the records make of the claim. None is “not what we saw”.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, CORRECTED, HOLDS, claim


@claim(
    "G01",
    "02_lora_layer",
    says="LoRA inserts small low-rank matrices at key points; only they train, the base model stays frozen",
    written_for=HOLDS,
    sentence="We inserted {grads.B_step0} pairs of A and B. In the first step every B got a gradient, from the second "
    "step on every A did too, and the base got none. When the adapters were taken off again, no logit differed from "
    "the untouched base. Lesson 03 checks that this still holds after training.",
)
def g01(measured: Mapping[str, Any]) -> str | None:
    if not measured["grads.base"] == measured["grads.base_step1"] == 0:
        return CORRECTED
    all_learn = measured["grads.B_step0"] == measured["grads.A_step1"] == measured["lora.layers"] > 0
    comes_off = measured["noop.nudged"] > 0 == measured["noop.detached"]
    return HOLDS if all_learn and comes_off else None


@claim(
    "G04",
    "02_lora_layer",
    says="LoRA cuts the trainable parameter count by 90–99%",
    written_for=CONDITION,
    sentence="It holds for all linear layers and a high rank. Of the {count.settings} settings we counted on three 7B "
    "shapes, {count.over_99} cut more than 99%<!--published glossary.cut_percent.high--> (two of our three choices of "
    "targets are attention alone). The other 3<!--calc count.settings - count.over_99-->, within the page's "
    "90–99%<!--published glossary.cut_percent-->, are all linear layers at r = 64. The range is {count.cut_least:.1f}% "
    "to {count.cut_most:.2f}%. On Llama-2-7B, all linear layers, the page is right for ranks from {count.r_at_99} to "
    "{count.r_at_90}. A small model is cut less: ours by {base.cut:.1f}% at r = 8.",
)
def g04(measured: Mapping[str, Any]) -> str | None:
    least, most = measured["count.cut_least"], measured["count.cut_most"]
    if 90 <= least <= most <= 99:
        return HOLDS
    within = measured["count.settings"] - measured["count.over_99"]
    return CONDITION if least >= 90 and within else CORRECTED


@claim(
    "G05",
    "02_lora_layer",
    says="A typical LoRA for a 7B model has 20–30 million trainable parameters",
    written_for=CONDITION,
    sentence="It depends on the rank and on the layers you target. Of the {count.settings} settings we counted on "
    "three 7B shapes, {count.in_band} lie in that band: Mistral-7B and Qwen2.5-7B, each at r = 8 on all linear layers "
    "(Mistral: {count.mistral_r8} numbers) and at r = 64 on q and v. Llama-2-7B at r = 8 stops a little below it "
    "({count.llama2_r8}). The count is r·(d + k), summed over the targeted layers, so always state both.",
)
def g05(measured: Mapping[str, Any]) -> str | None:
    in_band, settings = measured["count.in_band"], measured["count.settings"]
    if in_band == 0:
        return CORRECTED
    if in_band == settings:
        return HOLDS
    return CONDITION if in_band < settings and 20e6 <= measured["count.mistral_r8"] <= 30e6 else None


@claim(
    "G08",
    "02_lora_layer",
    says="The update is decomposed into A and B so that ΔW ≈ A × B",
    written_for=CONDITION,
    sentence="The order A·B is right for row vectors, x·A·B, with A as k×r and B as r×d. The paper, PyTorch and PEFT "
    "store a weight as outputs × inputs, and there the same update reads ΔW = (α/r)·B·A; multiplied the other way "
    "round, a {product.ba_shape} update shrinks to {product.ab_shape}. Either way it is “=”, not “≈”: the layer adds "
    "exactly this product, of rank {product.rank} here. What may be approximate is whether a good update has low "
    "rank at all (lesson 03).",
)
def g08(measured: Mapping[str, Any]) -> str | None:
    if not (measured["product.exact"] and measured["product.row_vectors"]):
        return CORRECTED
    small = f"{measured['product.rank']}×{measured['product.rank']}"
    order_matters = measured["product.ab_shape"] == small != measured["product.ba_shape"]
    return CONDITION if order_matters else None
