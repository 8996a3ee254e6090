"""The plan beside what others measured on their cards. Within 15%, or the reason stands here: no constant was fitted.

Each row is a published figure with its source; the settings are those that the source names.
"""

from typing import NamedTuple

import pytest
from transformers import AutoConfig

from lora_lessons import memory
from lora_lessons.memory import Job
from lora_lessons.memory.bill import GIB, SLACK

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


def unsloth(gib, tokens, error, model="Llama-3.1-8B"):
    """A card's size, and the longest text that Hugging Face with FlashAttention-2 trained on it: r = 32, batch 1."""
    return Published("Unsloth's benchmarks", model, Job("qlora", 32, seq=tokens, recipe="hf"), gib * GIB, error)


def qwen(method, tokens, gb, error):
    """Qwen-7B's README: one A100, batch 1, r = 64, Trainer with bf16 and checkpointing. Its 4-bit base is GPTQ's.

    prepare_model_for_kbit_training leaves a GPTQ base's embeddings in 16 bits, as this course's recipe does.
    """
    recipe = {"recipe": "hf"} if method == "lora" else {"layer": "peft"}
    return Published("Qwen's README", "Qwen-7B", Job(method, 64, seq=tokens, **recipe), gb * GB, error)


def litgpt(model, method, batch_size, tokens, gb, error):
    """litgpt's tables: bf16-true, so adapters in 16 bits, r = 8 on q and v, no checkpointing; Alpaca's longest row."""
    job = Job(
        method, 8, QV, tokens, batch_size=batch_size, gradient_checkpointing=False, adapter_dtype="bf16", layer="peft"
    )
    return Published("litgpt's tutorials", model, job, gb * GB, error)


WITHIN = [
    unsloth(12, 932, -0.02),
    unsloth(16, 2551, -0.06),
    unsloth(24, 5789, -0.10),
    unsloth(40, 12264, -0.14),
    unsloth(48, 15502, -0.15),
    unsloth(80, 6916, -0.04, "Llama-3.3-70B"),
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
    litgpt("Llama-2-7B", "lora", 1, 1304, 21.30, -0.02),
    litgpt("Llama-2-7B", "lora", 2, 1304, 29.07, -0.06),
    litgpt("Llama-2-13B", "lora", 1, 1304, 38.12, -0.02),
]
# Figures that the plan misses by more than 15%, and why.
OUTSIDE = {
    "the largest card of Unsloth's table: we count 2.1 MB a token and the table 2.7; the rest is not explained": [
        unsloth(80, 28454, -0.17),
    ],
    "bitsandbytes 0.41, which litgpt used, kept the input of every 4-bit layer for the way back; today's does not": [
        litgpt("Llama-2-7B", "qlora", 1, 1304, 13.84, -0.20),
        litgpt("Llama-2-13B", "qlora", 1, 1304, 22.55, -0.21),
    ],
}
# Figures that name no length, so that nothing can be planned for them.
WITHOUT_A_LENGTH = (
    "torchtune, Llama-2-7B, batch 2: LoRA 15.57 GB, QLoRA 9.29 GB (Alpaca, not packed)",
    "LLaMA-Factory, Llama-2-7B, 4-bit, batch 4: 9 GB",
    "litgpt's older table, microbatch 4: 20.60, 13.44 and 13.15 GB",
)
ROWS = [*WITHIN, *(row for rows in OUTSIDE.values() for row in rows)]


def planned(row):
    return memory.predict(SHAPES[row.model](), row.job).bill.total


def name(row):
    return f"{row.source.split()[0]}-{row.model}-{row.job.method}-{row.job.batch_size}x{row.job.seq}"


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_the_plan_beside_a_published_figure(row):
    error = planned(row) / row.size - 1
    assert error == pytest.approx(row.error, abs=0.006), f"{row.source}: {error:+.3f}"
    assert (abs(error) <= 0.15) == (row in WITHIN)


def test_what_the_tables_call_out_of_memory_does_not_fit():
    """Unsloth's table: no text at all on 8 GB for the 8B, on 48 GB for the 70B (where the plan sees room for 278 tokens)."""
    job = Job("qlora", 32, recipe="hf")
    assert memory.longest(SHAPES["Llama-3.1-8B"](), job, 8 * GIB) == 0
    assert memory.longest(SHAPES["Llama-3.3-70B"](), job, 48 * GIB) < 300


def test_the_longest_contexts_of_hugging_face_are_planned_11_to_24_percent_too_long():
    """The same rows read the other way round; this course's own recipe would be two thirds and more too long."""
    shape = SHAPES["Llama-3.1-8B"]()
    rows = [row for row in ROWS if row.source == "Unsloth's benchmarks" and row.model == "Llama-3.1-8B"]
    for row in rows:
        found = memory.longest(shape, row.job, row.size) / row.job.seq
        assert 1.10 < found < 1.24
        assert memory.longest(shape, Job("qlora", 32), row.size) / row.job.seq > found + 0.2


@pytest.mark.parametrize("method, gib", [("lora", 16.2), ("qlora", 7.4)])
def test_torchtune_takes_the_loss_in_eight_chunks_and_then_it_is_met(method, gib):
    """torchtune's README, Llama-3.1-8B on an RTX 4090, batch 2, 2,048 tokens, compiled; r = 8 on all but k, in bf16.

    Its loss never holds more than an eighth of the logits in 32 bits, and neither recipe here does that: as planned, the
    figure is missed by more than 40%; with an eighth of the logits' line it is met.
    """
    targets = ("q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    job = Job(method, 8, targets, 2048, batch_size=2, adapter_dtype="bf16", optimizer="adamw_fused")
    bill = memory.predict(SHAPES["Llama-3.1-8B"](), job).bill
    assert bill.total / GIB > 1.4 * gib
    in_chunks = bill.total - 7 / 8 * bill.logits * (1 + SLACK)
    assert in_chunks / GIB == pytest.approx(gib, rel=0.15)


def test_full_fine_tuning_in_bf16_with_the_fused_adamw():
    """51.6 GB published for a 7B; Llama-2-7B is planned at 56.0. The 18.9 GiB of torchtune's recipe are another method:

    moments in 8 bits and in pages, and each gradient used and thrown away on the way back.
    """
    fused = memory.predict("Llama-2-7B", Job("full", recipe="hf")).bill
    assert fused.total == pytest.approx(51.6 * GB, rel=0.15)
    assert (
        memory.predict("Llama-2-7B", Job("full")).bill.total > 1.2 * fused.total
    )  # PyTorch's default copies all that trains
