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


@claim(
    "G14",
    "07_qlora",
    "QLoRA quantizes the frozen base to 4-bit (INT4) during training",
    CORRECTED,
    "The base was packed once, before training, to a size {byhand.shrinks:.2f} times smaller than fp32, and stayed as it was; what trains is A and B, in 32 bits. "
    "Each layer dequantizes its weight forward and again backward ({kept.ours} bytes kept for that, {kept.naive:,} if one is careless). NF4, not INT4 (lesson 06).",
    "byhand.shrinks", "kept.ours", "kept.naive", "library.same",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    return 7.5 < r["byhand.shrinks"] < 8 and r["kept.ours"] == 0 < r["kept.naive"] and r["library.same"]


@claim(
    "G16",
    "07_qlora",
    "QLoRA's quality is nearly identical to LoRA at 16-bit",
    CONDITION,
    "Published for 7B to 65B: yes (MMLU 53.1 against 53.0). Our evidence cannot say that of a 7B, and says it is not free for every model: on a 135M base that was rounded "
    "once before, the same 24 steps ended {cost.nf4_double:.2f} nats above 16-bit with NF4 and double quantization, {cost.fp4:.2f} with FP4, {cost.int4:.2f} with int4 (three seeds).",
    "cost.nf4_double", "cost.nf4_double_apart", "cost.fp4", "cost.int4", "cost.before", "live.near",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    won_back = 0 < r["cost.nf4_double"] < r["cost.before"]
    return won_back and r["cost.nf4_double_apart"] and r["cost.nf4_double"] < r["cost.fp4"] and r["live.near"]


@claim(
    "G02",
    "08_qlora_7b",
    "Modifying a 7B model directly means storing a full 14 GB copy of changed weights",
    HOLDS,
    "{copy.least:.1f} to {copy.most:.1f} GB in 16 bits for the three shapes here. The adapter that we trained instead takes two or four bytes a number: for Qwen2.5-7B "
    "at r = 16 on all linear layers {seven.file_r16:.0f} MB in 16-bit.",
    "copy.least", "copy.most", "seven.file_r16",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    return 13 < r["copy.least"] <= r["copy.most"] < 16 and 1000 * r["copy.least"] > 50 * r["seven.file_r16"]


@claim(
    "G03",
    "08_qlora_7b",
    "Full fine-tuning of 7B stores gradients and optimizer states for 7 billion parameters: 40–80 GB of VRAM for the training state",
    CONDITION,
    "By count, from {state.least:.0f} GB (gradients and AdamW's moments in 16 bits) to {state.most:.0f} GB (in 32) over three shapes called 7B. The weights and activations "
    "come on top: a step of Qwen2.5-7B is planned at {needs.full_bf16:.0f} to {needs.full_fp32:.0f} GB.",
    "state.least", "state.most", "needs.full_bf16", "needs.full_fp32",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    return 38 < r["state.least"] < 48 and 75 < r["state.most"] < 95 and r["needs.full_bf16"] > r["state.least"]


@claim(
    "G05",
    "08_qlora_7b",
    "A typical LoRA for a 7B model has 20–30 million trainable parameters",
    CONDITION,
    "Qwen2.5-7B, all linear layers: {seven.trains_r8:.1f} million at r = 8, {seven.trains_r16:.1f} million at r = 16. Name r and the targets, and the number follows.",
    "seven.trains_r8", "seven.trains_r16",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    return 20 <= r["seven.trains_r8"] <= 30 < r["seven.trains_r16"]


@claim(
    "G06",
    "08_qlora_7b",
    "Fine-tuning (7B) is possible on one RTX 3090 or 4090",
    CONDITION,
    "By plan: 24 GiB are {room.qlora:.1f} times what a step of QLoRA on 1,024 tokens needs (rows of up to {longest.rtx_4090:,} tokens fit), and {room.lora:.2f} times what LoRA on "
    "a 16-bit base needs. Full fine-tuning with plain AdamW does not fit: {room.full:.2f} times (published: 18.9 GiB with torchtune's one-GPU recipe). No card has been "
    "measured by this course yet.",
    "room.qlora", "room.lora", "room.full", "longest.rtx_4090",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    return r["room.qlora"] > 1.5 and r["room.lora"] > 1 and r["room.full"] < 1 and r["longest.rtx_4090"] > 2048


@claim(
    "G11",
    "08_qlora_7b",
    "Adapters are small files, typically 50–500 MB, that modify the base model's behaviour",
    CONDITION,
    "For this 7B {seven.file_r8:.0f} to {seven.file_r16:.0f} MB in 16-bit at r = 8 to 16 on all linear layers, twice that in fp32. The file we wrote has the size "
    "that was promised ({file.as_promised}), and the loss on held-out topics went from {loss.before:.2f} to {loss.after:.2f}.",
    "seven.file_r8", "seven.file_r16", "file.as_promised", "loss.before", "loss.after",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    return (
        r["seven.file_r8"] < 50 < r["seven.file_r16"] < 500
        and r["file.as_promised"]
        and r["loss.after"] < r["loss.before"]
    )


@claim(
    "G17",
    "08_qlora_7b",
    "Fine-tune a 7B on one consumer GPU with LoRA or QLoRA, step by step",
    CONDITION,
    "These cells are the steps, and without a GPU they ran on a small base. The 7B's own shape took {cpu_7b.step:.0f} s a step of 64 tokens on two processor cores, at most "
    "{cpu_7b.peak:.1f} GB (recorded, random weights). On a consumer GPU it is planned to fit; we have not recorded one. Unsloth: lesson 12 (to come).",
    "cpu_7b.step", "cpu_7b.peak", "cpu_7b.first", "cpu_7b.last", "room.qlora",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    return r["cpu_7b.peak"] < 8 and r["cpu_7b.last"] < r["cpu_7b.first"] and r["room.qlora"] > 1


@claim(
    "G10",
    "09_adapters",
    "After training, the weights can be merged into the base or kept apart as an adapter",
    CONDITION,
    "Kept apart, nothing is lost, and a swap leaves the base bit for bit. Merged, it depends into what: a 4-bit base dequantized to 16 bits first, {path.dequantized.kl:.0e} nats "
    "from the unmerged model; the original 16-bit base, {path.original.kl:.2f}; into the 4-bit weights themselves, {path.into_4_bits.kl:.2f}, where no adapter at all is "
    "{path.none.kl:.2f}: this update is small beside a 4-bit step, and a larger one would keep more. And a merge is undone from a copy, not by subtracting.",
    "path.dequantized.kl", "path.original.kl", "path.into_4_bits.kl", "path.none.kl", "back.from_a_copy", "swap.base_unchanged",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    paths = [r[f"path.{name}.kl"] for name in ("dequantized", "original", "into_4_bits")]
    return paths == sorted(paths) and paths[0] < 0.01 and r["back.from_a_copy"] and r["swap.base_unchanged"]


@claim(
    "G12",
    "09_adapters",
    "Adapters exist for personas and roleplay, domain writing (medical, legal), coding style, instruction following",
    CONDITION,
    "Four of them, {file.code_style:.1f} MB each, on one base: answers that keep every rule of their task went from none to {kept.persona:.0f}% (a persona), "
    "{kept.plain_language:.0f}% (legal clauses in plain language), {kept.code_style:.0f}% (coding style) and {kept.strict_json:.0f}% (a strict format), by a program's judgement: "
    "of form, not of truth. And a form leaks: {drift.persona:.0f}% of everyday answers ended with the persona's closing sentence, unasked. Medical writing was not tried.",
    "file.code_style", "kept.persona", "kept.plain_language", "kept.code_style", "kept.strict_json", "drift.persona",
    "gain.persona", "gain.plain_language", "gain.code_style", "gain.strict_json",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    tasks = ("persona", "plain_language", "code_style", "strict_json")
    return all(r[f"gain.{task}"] > 0.1 and r[f"kept.{task}"] > 0 for task in tasks) and r["drift.persona"] > 0


@claim(
    "G13",
    "10_ship_it",
    "Ollama and llama.cpp load LoRA adapters at runtime, so many fine-tunes can be tried on one base",
    CONDITION,
    "llama.cpp does: several adapters were loaded beside one base when its server started, then swapped and scaled by request; what it computed was what PEFT computes "
    "(to 0.001: {swap.holds}). More cannot be added while it runs. Ollama, by report and not measured here (November 2026): before 0.34.1 one adapter, fixed "
    "when a model is created; from 0.34.1 (September 2026) none can be added. There, merge.",
    "parity.holds", "swap.several", "swap.holds", "server.refuses",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    return all(r[name] for name in ("parity.holds", "swap.several", "swap.holds", "server.refuses"))


@claim(
    "G18",
    "11_formats",
    "GGUF, GPTQ, AWQ, EXL2: which to use, and exporting a fine-tuned adapter to each",
    CONDITION,
    "Choose by who shall load the file. Merged first, one adapter was written in {formats.loaded} formats, GGUF, GPTQ and AWQ among them, and loaded back; "
    "EXL2 needs CUDA and was not run. Reading text first helped: at 4 bits, on our 135M base, GPTQ took back {table.gptq_4_share:.0%} of what rounding to nearest lost, "
    "AWQ {table.awq_4_share:.0%}. Grid and bits count as well: of the real tools' files (one run each) HQQ's, which reads none, raised perplexity by {formats.hqq:.0%}, GPTQ's by {formats.gptq:.0%}, AWQ's by {formats.awq:.0%}, "
    "Q4_K_M's, here mostly 5 bits, by {formats.gguf_q4_k_m:.0%}.",
    "formats.loaded", "formats.gptq", "formats.awq", "formats.hqq", "formats.gguf_q4_k_m", "table.gptq_4_share", "table.awq_4_share", "table.gptq_4_wins",
    "table.awq_4_wins", "whole.as_recorded",
)  # fmt: skip
def _(r: Mapping[str, Any]) -> bool:
    wins = r["table.gptq_4_wins"] and r["table.awq_4_wins"] and r["whole.as_recorded"]
    return (
        wins
        and r["formats.loaded"] >= 6
        and all(0 < r[f"formats.{name}"] < 0.5 for name in ("gptq", "awq", "gguf_q4_k_m"))
    )
