"""Verdicts of lesson 08: what a 7B takes, and on which card it trains.

For each claim of the page: a sentence, and what the records make of the claim. None is “not what we saw”.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, CORRECTED, HOLDS, NOT_TESTED, claim
from ...experiments import sizes


@claim(
    "G02",
    "08_qlora_7b",
    says="Modifying a 7B model directly means storing a full 14 GB copy of changed weights",
    written_for=HOLDS,
    sentence="A copy in 16 bits takes {copy.least:.1f} to {copy.most:.1f} GB for the three shapes here. An adapter "
    "takes two or four bytes per number instead: for Qwen2.5-7B at r = 16 on all linear layers, "
    "{seven.file_r16:.0f} MB in 16 bits.",
)
def g02(measured: Mapping[str, Any]) -> str | None:
    if not 13 < measured["copy.least"] <= measured["copy.most"] < 16:
        return CORRECTED
    return HOLDS if 1000 * measured["copy.least"] > 50 * measured["seven.file_r16"] else None


@claim(
    "G03",
    "08_qlora_7b",
    says=(
        "Full fine-tuning of 7B stores gradients and optimizer states for 7 billion parameters: "
        "40–80 GB of VRAM for the training state"
    ),
    written_for=CONDITION,
    sentence="We count {state.least:.0f} GB when gradients and AdamW's moments are kept in 16 bits and up to "
    "{state.most:.0f} GB in 32 bits, over three shapes called 7B. The weights come on top, so a whole step of "
    "Qwen2.5-7B is planned at {needs.full_bf16:.0f} to {needs.full_fp32:.0f} GB (LLaMA-Factory estimates "
    "60<!--published full_fine_tuning.bf16_gb--> GB in 16 bits and 120<!--published full_fine_tuning.mixed_gb--> in "
    "mixed precision, the usual setting). Moments in 8 bits need less: torchtune's one-GPU recipe, which also drops "
    "each gradient once it is used, is published at 18.9<!--published torchtune.full_gib--> GiB in all.",
)
def g03(measured: Mapping[str, Any]) -> str | None:
    least, most = measured["state.least"], measured["state.most"]
    if 40 <= least <= most <= 80:
        return HOLDS
    if not (38 < least < 48 and 75 < most < 95):
        return CORRECTED
    weights_on_top = measured["needs.full_bf16"] > least and measured["needs.full_fp32"] > most
    return CONDITION if weights_on_top else None


@claim(
    "G06",
    "08_qlora_7b",
    says="Fine-tuning (7B) is possible on one RTX 3090 or 4090",
    written_for=CONDITION,
    at_sizes=sizes.at_sizes("the plan is right"),
    sentence="By others' runs, yes: on an RTX 4090 torchtune's README has Llama-3.1-8B at 7.4<!--published "
    "torchtune.qlora_gib--> GiB with QLoRA and at 16.2<!--published torchtune.lora_gib--> with LoRA, two texts of "
    "2,048 tokens at once. The rest is our plan, not validated on a GPU by us. For Qwen2.5-7B and a text of 1,024 "
    "tokens, QLoRA needs {needs.qlora:.1f} of such a card's 25.8<!--calc 24*2**30/1e9--> GB by this course's loop, and "
    "{needs.hf:.1f} by the usual Hugging Face recipe. With a sixth of the card left free, the longest texts that fit "
    "have {longest.rtx_4090:,} and {longest.hf_rtx_4090:,} tokens. LoRA on a 16-bit base fits by this course's loop "
    "({needs.lora:.1f} GB). Full fine-tuning with AdamW does not ({needs.full_bf16:.0f} GB in 16 bits). Beside "
    "{published.figures} figures that others published, the planner was between {published.low:.0%} too low and "
    "{published.high:.0%} too high; {published.took_more} of those jobs took more than planned.",
)
def g06(measured: Mapping[str, Any]) -> str | None:
    if measured["room.qlora"] < 1:
        return CORRECTED
    if measured["room.full"] >= 1:
        return HOLDS
    lora_fits = measured["room.lora"] > 1
    qlora_fits_well = measured["room.qlora"] > measured["room.hf"] > 1.5
    long_texts_fit = measured["longest.rtx_4090"] > measured["longest.hf_rtx_4090"] > 2048
    plan_is_near = max(measured["published.low"], measured["published.high"]) < 0.3
    return CONDITION if lora_fits and qlora_fits_well and long_texts_fit and plan_is_near else None


@claim(
    "G17",
    "08_qlora_7b",
    says="Fine-tune a 7B on one consumer GPU with Unsloth and LoRA or QLoRA, step by step",
    written_for=NOT_TESTED,
    sentence="Neither a consumer GPU nor Unsloth ran here. What did run: the same steps on a small base, and a 7B's "
    "own shape with random weights on two processor cores, which memorised one text at {cpu_7b.step:.0f} s per step of "
    "64 tokens and at most {cpu_7b.peak:.1f} GB ({cpu_7b.hours_per_million:.0f} hours per million tokens). By plan, "
    "QLoRA on a text of 1,024 tokens needs {needs.qlora:.1f} of the 25.8<!--calc 24*2**30/1e9--> "
    "GB of an RTX 3090 or 4090.",
)
def g17(measured: Mapping[str, Any]) -> str | None:
    memorised = measured["cpu_7b.last"] < measured["cpu_7b.first"]
    slow_but_small = measured["cpu_7b.hours_per_million"] > 24 and measured["cpu_7b.peak"] < 8
    return NOT_TESTED if memorised and slow_but_small and measured["room.qlora"] > 1 else None
