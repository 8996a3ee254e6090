"""The verdicts of the lessons: for each glossary claim, the sentence, and the condition on the records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .claims import CONDITION, CORRECTED, HOLDS, claim


@claim(
    "G07",
    "01_low_rank",
    "In transformers most weight matrices can be approximated as lower-rank structures",
    CORRECTED,
    "Not by cutting W itself (plain SVD, no retraining), not in this base. With every W cut to equal storage, perplexity on {perplexity.tokens} "
    "tokens rose from {perplexity.intact:.0f} by a factor of {perplexity.break_even_factor:,.0f}. One kind at a time, {kinds.survive} of 7 stayed "
    "within 20%; they hold {kinds.survive_weights:.0%} of the weights. Keeping 90% of the energy takes {spectrum.share:.0%} of full rank in the "
    "median matrix; Gaussian noise of those shapes takes {spectrum.noise_share:.0%}. Cuts that look at the inputs do far better (published). LoRA does not need this claim: it assumes a low-rank update (lesson 03).",
    "perplexity.tokens", "perplexity.intact", "perplexity.break_even_factor", "kinds.survive", "kinds.survive_weights", "spectrum.share", "spectrum.noise_share",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    return (
        r["perplexity.break_even_factor"] > 10
        and r["kinds.survive_weights"] < 0.5
        and r["spectrum.share"] > 0.5 * r["spectrum.noise_share"]
    )


@claim(
    "G01",
    "02_lora_layer",
    "LoRA inserts small low-rank matrices at key points; only they train, the base model stays frozen",
    HOLDS,
    "{grads.B_step0} pairs of A and B were inserted. At step 0 every B got a gradient, from step 1 every A too, the base none. "
    "Taken off again, the largest change of a logit was {noop.detached}. Lesson 03 compares the weights after training.",
    "lora.layers", "grads.B_step0", "grads.A_step1", "grads.base", "grads.base_step1", "noop.nudged", "noop.detached",
)  # fmt: skip
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
    "count.over_99", "count.settings", "count.cut_least", "count.cut_most", "count.r_at_99", "count.r_at_90", "base.cut",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    return r["count.over_99"] > r["count.settings"] / 2 and r["count.cut_least"] > 90


@claim(
    "G05",
    "02_lora_layer",
    "A typical LoRA for a 7B model has 20–30 million trainable parameters",
    CONDITION,
    "For {count.in_band} of the {count.settings} settings counted here on three 7B shapes, such as all linear layers at r = 8 of Mistral-7B "
    "({count.mistral_r8}; Llama-2-7B: {count.llama2_r8}). The count is r·(d + k) summed over the targets, so always name r and the targets.",
    "count.in_band", "count.settings", "count.mistral_r8", "count.llama2_r8",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    return 0 < r["count.in_band"] < r["count.settings"] and 20e6 <= r["count.mistral_r8"] <= 30e6


@claim(
    "G08",
    "02_lora_layer",
    "The update is decomposed into A and B so that ΔW ≈ A × B",
    CORRECTED,
    "ΔW = (α/r)·B·A, exact by construction (up to fp32 rounding), of rank {product.rank} here; B (d×r) comes first: on a {product.ba_shape} weight, A·B is "
    "{product.ab_shape}. What may be approximate is whether a good update has low rank: lesson 03.",
    "product.exact", "product.rank", "product.ba_shape", "product.ab_shape",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    small = f"{r['product.rank']}×{r['product.rank']}"
    return r["product.exact"] and r["product.ab_shape"] == small != r["product.ba_shape"]


@claim(
    "G01",
    "03_train_lora",
    "Only A and B train; the base model stays frozen",
    HOLDS,
    "After training every number of the base is what it was, bit for bit: {base.unchanged}.",
    "base.unchanged",
)
def _(r: Mapping[str, Any]) -> bool:
    return r["base.unchanged"] is True


@claim(
    "G02",
    "03_train_lora",
    "Modifying a 7B model directly means storing a full 14 GB copy of changed weights",
    HOLDS,
    "In 16 bits a full copy takes {copy_gb.llama} GB for Llama-2-7B, {copy_gb.mistral} GB for Mistral-7B and {copy_gb.qwen2.5} GB for Qwen2.5-7B: "
    "two bytes a parameter, and a “7B” has 6.7 to 7.6 billion.",
    "copy_gb.llama", "copy_gb.mistral", "copy_gb.qwen2.5",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    return all(13 <= r[f"copy_gb.{name}"] <= 15.5 for name in ("llama", "mistral", "qwen2.5"))


@claim(
    "G07",
    "03_train_lora",
    "In transformers most weight matrices can be approximated as lower-rank structures",
    CORRECTED,
    "What leans to few directions is the change of W: after a short run with AdamW, 90% of its energy lies in {update.rank90:.0%} of the full rank (median), against "
    "{update.rank90_noise:.0%} for noise of the same shape. It is lower, not low. LoRA at rank 8 still reached {share.improvement:.0f}% of full "
    "fine-tuning's improvement here: it needs a good update of low rank to exist, not W or the free update to have one.",
    "update.rank90", "update.rank90_noise", "share.improvement",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    return 0.05 < r["update.rank90"] < 0.8 * r["update.rank90_noise"] and r["share.improvement"] > 80


@claim(
    "G09",
    "03_train_lora",
    "Training only A and B takes a fraction of the compute and memory of training W",
    CONDITION,
    "Of the memory for weights, gradients and AdamW in fp32, activations not counted, yes: {memory.ratio:.0%} of full fine-tuning's. Of the compute, a large fraction: "
    "{compute.ratio:.0%} of the arithmetic, because the passes through the frozen W stay.",
    "memory.ratio", "compute.ratio",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    return r["memory.ratio"] < 0.4 and 0.5 < r["compute.ratio"] < 0.9


@claim(
    "G10",
    "04_peft",
    "After training, the weights can be merged into the base or kept apart as an adapter",
    CONDITION,
    "In fp32 both give the same: held-out loss {merge.loss_apart} apart, {merge.loss_merged} merged. Apart, the base comes back bit for bit "
    "({apart.restored}); merged and unmerged, it does not ({merge.restored}). Merged into bf16 weights, this small update is off by "
    "{merge.error:.0%} of its energy; here the loss went from {merge.loss_apart_bf16} to {merge.loss_merged_bf16}. Keep the adapter's file.",
    "merge.loss_apart", "merge.loss_merged", "apart.restored", "merge.restored", "merge.error", "merge.error_8x",
    "merge.loss_apart_bf16", "merge.loss_merged_bf16",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    same = abs(r["merge.loss_apart"] - r["merge.loss_merged"]) < 1e-3
    return same and r["apart.restored"] and not r["merge.restored"] and r["merge.error"] > 0.01 > r["merge.error_8x"]


@claim(
    "G11",
    "04_peft",
    "Adapters are small files, typically 50–500 MB, that modify the base model's behaviour",
    CONDITION,
    "Small, yes: in 16-bit {size.least} to {size.most} MB for usual settings on three 7B shapes, at most {size.share_most}% of the base. "
    "Within 50–500 MB lie {size.in_band_16} of {size.settings} settings in 16-bit and {size.in_band_32} in fp32. The size is "
    "bytes × r × the sum of (d + k), so name r, the targets and the precision.",
    "size.least", "size.most", "size.share_most", "size.in_band_16", "size.in_band_32", "size.settings", "adapter.moves",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    some = all(0 < r[f"size.in_band_{bits}"] < r["size.settings"] for bits in (16, 32))
    return some and r["size.share_most"] < 5 and r["adapter.moves"]


@claim(
    "G14",
    "06_quantization",
    "QLoRA quantizes the frozen base to 4-bit (INT4) during training",
    CORRECTED,
    "4-bit, yes: {bits.double:.3f} bits for each quantized weight, scales included (embeddings and norms stay in 16). INT4, no: NF4's 16 levels are "
    "quantiles of a normal distribution. In blocks of 64 our base's perplexity, rounded once before, rose to {perplexity.nf4:.2f} times with NF4 and to "
    "{perplexity.int4:.2f} times with int4's even steps. During training, no: it is rounded once, before; each layer looks its levels up when it runs.",
    "bits.double", "nf4.published", "perplexity.nf4", "perplexity.int4", "apart.int4", "bnb.same", "bnb.as_dequantized",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    ours = r["nf4.published"] and r["bnb.same"] == 210 and r["bnb.as_dequantized"]
    return (
        ours and abs(r["bits.double"] - 4.127) < 0.01 and r["perplexity.nf4"] < r["perplexity.int4"] and r["apart.int4"]
    )
