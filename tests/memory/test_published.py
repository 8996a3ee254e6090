"""The plan beside what others measured on their cards. Within 15%, or the reason stands here: no constant was fitted.

Each row is a published figure with its source; the settings are those that the source names, and the loss is taken as
the libraries of that day took it. Some figures are a whole card, some are PyTorch's count of tensors alone.
"""

from dataclasses import replace
from typing import NamedTuple

import pytest
from transformers import AutoConfig

from lora_lessons import memory
from lora_lessons.course import published
from lora_lessons.memory import Job
from lora_lessons.memory.bill import GIB

QV = ("q_proj", "v_proj")
GB = memory.GB


def llama(hidden, intermediate, blocks, heads, kv_heads, vocabulary):
    config = AutoConfig.for_model(
        "llama",
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=blocks,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=vocabulary,
        tie_word_embeddings=False,
        max_position_embeddings=131072,
    )
    return memory.shape_of(config)


SHAPES = {
    "Llama-2-7B": lambda: memory.shape_of("Llama-2-7B"),
    "Llama-2-13B": lambda: llama(5120, 13824, 40, 40, 40, 32000),
    "Llama-3.1-8B": lambda: llama(4096, 14336, 32, 32, 8, 128256),
    "Llama-3.3-70B": lambda: llama(8192, 28672, 80, 64, 8, 128256),
    "Qwen-7B": lambda: llama(4096, 11008, 32, 32, 32, 151936),  # the first Qwen: Llama's sizes
}


class Published(NamedTuple):
    source: str
    model: str
    job: Job
    size: float  # bytes
    error: float  # of the plan, as it was when this table was made
    tensors: bool = False  # whether the figure counts tensors alone, without CUDA's context and the allocator's slack


def unsloth(gib, tokens, error, model="Llama-3.1-8B"):
    """A card's size, and the longest text that Hugging Face with FlashAttention-2 trained on it: r = 32, batch 1.

    The table is of December 2024, when transformers (4.47) still copied the 32-bit logits to shift them.
    """
    job = Job("qlora", 32, seq=tokens, recipe="hf", loss="shifted")
    return Published("Unsloth's benchmarks", model, job, gib * GIB, error)


def qwen(method, tokens, gb, error):
    """Qwen-7B's README: one A100, batch 1, r = 64, Trainer with bf16 and checkpointing. Its 4-bit base is GPTQ's.

    prepare_model_for_kbit_training leaves a GPTQ base's embeddings in 16 bits, as this course's recipe does.
    """
    recipe = {"recipe": "hf"} if method == "lora" else {"layer": "peft"}
    return Published("Qwen's README", "Qwen-7B", Job(method, 64, seq=tokens, **recipe), gb * GB, error)


def litgpt(model, method, batch_size, tokens, gb, error):
    """litgpt's tables: bf16-true, so adapters in 16 bits, r = 8 on q and v, no checkpointing; Alpaca's longest row.

    The loss is taken in chunks, and what is printed is torch.cuda.max_memory_allocated.
    """
    how = {"batch_size": batch_size, "gradient_checkpointing": False, "adapter_dtype": "bf16", "layer": "peft"}
    job = Job(method, 8, QV, tokens, loss="chunked", **how)
    return Published("litgpt's tutorials", model, job, gb * GB, error, tensors=True)


def torchtune(method, gib, error):
    """torchtune's README, RTX 4090: r = 8 on all but k, bf16 throughout, packed to 2,048 tokens, the loss in chunks.

    It names no measure; where its documents do (README of November 2024), it is the peak of active memory: tensors.
    If it were the whole card, the plan would be 15% and 17% too high. A compiled loss needs no chunk in 32 bits, either.
    """
    targets = ("q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    how = {"batch_size": 2, "adapter_dtype": "bf16", "optimizer": "adamw_fused"}
    job = Job(method, 8, targets, 2048, loss="chunked", **how)
    return Published("torchtune's README", "Llama-3.1-8B", job, gib * GIB, error, tensors=True)


WITHIN = [
    unsloth(12, 932, 0.02),
    unsloth(16, 2551, -0.01),
    unsloth(24, 5789, -0.035),
    unsloth(40, 12264, -0.055),
    unsloth(48, 15502, -0.06),
    unsloth(80, 28454, -0.07),
    unsloth(80, 6916, -0.00, "Llama-3.3-70B"),
    torchtune("lora", 16.2, 0.09),
    torchtune("qlora", 7.4, 0.08),
    qwen("lora", 256, 20.1, -0.05),
    qwen("lora", 512, 20.4, -0.05),
    qwen("lora", 1024, 21.5, -0.04),
    qwen("lora", 2048, 23.8, -0.04),
    qwen("lora", 4096, 29.7, -0.08),
    qwen("lora", 8192, 36.6, -0.01),
    qwen("qlora", 256, 11.5, -0.15),
    qwen("qlora", 512, 11.5, -0.15),
    qwen("qlora", 1024, 12.3, -0.13),
    qwen("qlora", 2048, 13.9, -0.07),
    qwen("qlora", 4096, 16.9, 0.03),
    qwen("qlora", 8192, 23.5, 0.12),
    litgpt("Llama-2-7B", "lora", 1, 1304, 21.30, -0.085),
    litgpt("Llama-2-7B", "lora", 2, 1304, 29.07, -0.125),
    litgpt("Llama-2-13B", "lora", 1, 1304, 38.12, -0.07),
]
# Figures that the plan misses by more than 15%. Why, is tested below.
OUTSIDE = [
    litgpt("Llama-2-7B", "qlora", 1, 1304, 13.84, -0.285),
    litgpt("Llama-2-13B", "qlora", 1, 1304, 22.55, -0.265),
]
# Figures that cannot be planned: no length is named, or the method is one that the planner does not know.
NOT_PLANNED = (
    "torchtune, Llama-2-7B, batch 2: LoRA 15.57 GB, QLoRA 9.29 GB (Alpaca, not packed: no length)",
    "LLaMA-Factory, Llama-2-7B, 4-bit, batch 4: 9 GB (no length)",
    "litgpt's older table, microbatch 4: 20.60, 13.44 and 13.15 GB (no length)",
    "torchtune, full, 18.9 GiB: paged moments in 8 bits, and each gradient used and thrown away on the way back",
    "Unsloth's own lengths: kernels of its own, and the blocks' inputs wait in the computer's memory",
)
ROWS = [*WITHIN, *OUTSIDE]


def planned(row):
    bill = memory.predict(SHAPES[row.model](), row.job).bill
    return bill.total - bill.overhead * row.tensors


def name(row):
    return f"{row.source.split()[0]}-{row.model}-{row.job.method}-{row.job.batch_size}x{row.job.seq}"


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_the_plan_beside_a_published_figure(row):
    error = planned(row) / row.size - 1
    assert error == pytest.approx(row.error, abs=0.006), f"{row.source}: {error:+.3f}"
    assert (abs(error) <= 0.15) == (row in WITHIN)


def test_what_a_lesson_quotes_of_these_figures_is_the_same_here():
    """Entered twice, here with its settings and in data/published.toml with its source: a slip in one shows in the other."""
    quoted = {int(gib): tokens for gib, tokens in published.column("unsloth.hugging_face").items()}
    here = {
        row.size / GIB: row.job.seq
        for row in ROWS
        if row.source == "Unsloth's benchmarks" and row.model == "Llama-3.1-8B"
    }
    assert quoted.items() <= here.items()
    full, torchtune = published.figure("full_fine_tuning.bf16_gb"), published.figure("torchtune.full_gib")
    assert test_full_fine_tuning_in_bf16_with_the_fused_adamw.__doc__.startswith(f"{full} GB estimated")
    assert any(f"torchtune, full, {torchtune} GiB" in line for line in NOT_PLANNED)


def test_what_the_tables_call_out_of_memory_does_not_fit():
    """Unsloth's table: no text at all on 8 GB for the 8B, on 48 GB for the 70B (where the plan sees room for 278 tokens)."""
    job = Job("qlora", 32, recipe="hf")
    assert memory.longest(SHAPES["Llama-3.1-8B"](), job, 8 * GIB) == 0
    assert memory.longest(SHAPES["Llama-3.3-70B"](), job, 48 * GIB) < 300


def test_the_longest_contexts_of_hugging_face_are_met_within_10_percent():
    """The same rows read the other way round, and why: without the copy that shifts the logits, up to 24% too long."""
    shape = SHAPES["Llama-3.1-8B"]()
    rows = [row for row in ROWS if row.source == "Unsloth's benchmarks" and row.model == "Llama-3.1-8B"]
    for row in rows:
        found, today, course = (
            memory.longest(shape, job, row.size) / row.job.seq
            for job in (row.job, replace(row.job, loss="whole"), Job("qlora", 32))
        )
        assert 0.9 < found < 1.1
        assert found + 0.1 < today < 1.24
        assert course > today + 0.2


def test_a_loss_taken_at_once_would_miss_torchtunes_figures_by_a_third_and_more():
    for row in ROWS:
        if row.source == "torchtune's README":
            assert planned(row._replace(job=replace(row.job, loss="whole", fast=False))) > 1.3 * row.size


@pytest.mark.parametrize("row", [row for row in ROWS if row.source == "litgpt's tutorials"], ids=name)
def test_what_litgpt_and_bitsandbytes_041_kept_explains_the_rest(row):
    """litgpt's own model, of October 2023: one weight makes queries, keys and values, so that the values, a view, keep
    the other two alive before their rotation; and dropout keeps a mask of a byte per number.

    bitsandbytes 0.41 kept the input of every 4-bit layer for the way back (removed in 0.43.2, its pull request 1270):
    what q, k and v read, what gate and up read, and what down reads. The input of o is the output of attention, which
    is kept anyway. So is the first, where no dropout comes between it and the adapter.
    """
    sizes = SHAPES[row.model]().config()
    numbers = 2 * 2 * sizes.hidden_size + sizes.hidden_size
    if row.job.method == "qlora":
        numbers += 2 * (2 * sizes.hidden_size + sizes.intermediate_size)
    kept = numbers * sizes.num_hidden_layers * row.job.batch_size * row.job.seq
    assert (planned(row) + kept) / row.size == pytest.approx(1, abs=0.12)


def test_full_fine_tuning_in_bf16_with_the_fused_adamw():
    """60 GB estimated by LLaMA-Factory for a 7B; Llama-2-7B is planned at 56.0."""
    fused = memory.predict("Llama-2-7B", Job("full", recipe="hf")).bill
    assert fused.total == pytest.approx(60 * GB, rel=0.1)
    assert (
        memory.predict("Llama-2-7B", Job("full")).bill.total > 1.2 * fused.total
    )  # PyTorch's default copies all that trains
