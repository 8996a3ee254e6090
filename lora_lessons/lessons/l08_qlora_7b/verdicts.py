"""Verdicts of lesson 08: what a 7B takes, and on which card it trains.

For each claim of the page: a sentence, and the condition on the records that decides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import CONDITION, HOLDS, claim


@claim(
    "G02",
    "08_qlora_7b",
    says="Modifying a 7B model directly means storing a full 14 GB copy of changed weights",
    verdict=HOLDS,
    sentence="{copy.least:.1f} to {copy.most:.1f} GB in 16 bits for the three shapes here. The adapter that we trained instead takes two or four bytes a number: for Qwen2.5-7B "
    "at r = 16 on all linear layers {seven.file_r16:.0f} MB in 16-bit.",
    records=(
        "copy.least",
        "copy.most",
        "seven.file_r16",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    return (
        13 < measured["copy.least"] <= measured["copy.most"] < 16
        and 1000 * measured["copy.least"] > 50 * measured["seven.file_r16"]
    )


@claim(
    "G03",
    "08_qlora_7b",
    says="Full fine-tuning of 7B stores gradients and optimizer states for 7 billion parameters: 40–80 GB of VRAM for the training state",
    verdict=CONDITION,
    sentence="By count, from {state.least:.0f} GB (gradients and AdamW's moments in 16 bits) to {state.most:.0f} GB (in 32) over three shapes called 7B. The weights and activations "
    "come on top: a step of Qwen2.5-7B is planned at {needs.full_bf16:.0f} to {needs.full_fp32:.0f} GB.",
    records=(
        "state.least",
        "state.most",
        "needs.full_bf16",
        "needs.full_fp32",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    return (
        38 < measured["state.least"] < 48
        and 75 < measured["state.most"] < 95
        and measured["needs.full_bf16"] > measured["state.least"]
    )


@claim(
    "G05",
    "08_qlora_7b",
    says="A typical LoRA for a 7B model has 20–30 million trainable parameters",
    verdict=CONDITION,
    sentence="Qwen2.5-7B, all linear layers: {seven.trains_r8:.1f} million at r = 8, {seven.trains_r16:.1f} million at r = 16. Name r and the targets, and the number follows.",
    records=(
        "seven.trains_r8",
        "seven.trains_r16",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    return 20 <= measured["seven.trains_r8"] <= 30 < measured["seven.trains_r16"]


@claim(
    "G06",
    "08_qlora_7b",
    says="Fine-tuning (7B) is possible on one RTX 3090 or 4090",
    verdict=CONDITION,
    sentence="By plan: 24 GiB are {room.qlora:.1f} times what a step of QLoRA on 1,024 tokens needs (rows of up to {longest.rtx_4090:,} tokens fit), and {room.lora:.2f} times what LoRA on "
    "a 16-bit base needs. Full fine-tuning with plain AdamW does not fit: {room.full:.2f} times (published: 18.9 GiB with torchtune's one-GPU recipe). No card has been "
    "measured by this course yet.",
    records=(
        "room.qlora",
        "room.lora",
        "room.full",
        "longest.rtx_4090",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    return (
        measured["room.qlora"] > 1.5
        and measured["room.lora"] > 1
        and measured["room.full"] < 1
        and measured["longest.rtx_4090"] > 2048
    )


@claim(
    "G11",
    "08_qlora_7b",
    says="Adapters are small files, typically 50–500 MB, that modify the base model's behaviour",
    verdict=CONDITION,
    sentence="For this 7B {seven.file_r8:.0f} to {seven.file_r16:.0f} MB in 16-bit at r = 8 to 16 on all linear layers, twice that in fp32. The file we wrote has the size "
    "that was promised ({file.as_promised}), and the loss on held-out topics went from {loss.before:.2f} to {loss.after:.2f}.",
    records=(
        "seven.file_r8",
        "seven.file_r16",
        "file.as_promised",
        "loss.before",
        "loss.after",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    return (
        measured["seven.file_r8"] < 50 < measured["seven.file_r16"] < 500
        and measured["file.as_promised"]
        and measured["loss.after"] < measured["loss.before"]
    )


@claim(
    "G17",
    "08_qlora_7b",
    says="Fine-tune a 7B on one consumer GPU with LoRA or QLoRA, step by step",
    verdict=CONDITION,
    sentence="These cells are the steps, and without a GPU they ran on a small base. The 7B's own shape took {cpu_7b.step:.0f} s a step of 64 tokens on two processor cores, at most "
    "{cpu_7b.peak:.1f} GB (recorded, random weights). On a consumer GPU it is planned to fit; we have not recorded one. Unsloth: lesson 12 (to come).",
    records=(
        "cpu_7b.step",
        "cpu_7b.peak",
        "cpu_7b.first",
        "cpu_7b.last",
        "room.qlora",
    ),
)
def _(measured: Mapping[str, Any]) -> bool:
    return (
        measured["cpu_7b.peak"] < 8
        and measured["cpu_7b.last"] < measured["cpu_7b.first"]
        and measured["room.qlora"] > 1
    )
