"""What others measured on their cards, beside the plan of the same job, and the picture of both.

Each row is a published figure with its source; the settings are those that the source names, and the loss is taken as
the libraries of that day took it. No constant of the planner was fitted to them. Some figures are a whole card, some
are PyTorch's count of tensors alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from ... import memory
from ...course import published, record
from ...drawing import BLUE, GREY, VERMILION
from ...memory import GB, Job
from ...memory.bill import GIB

QV = ("q_proj", "v_proj")
UNSLOTH, QWEN, LITGPT, TORCHTUNE = "Unsloth's benchmarks", "Qwen's README", "litgpt's tutorials", "torchtune's README"


def llama(hidden: int, intermediate: int, blocks: int, heads: int, kv_heads: int, vocabulary: int) -> memory.Shape:
    """A Llama of these published sizes."""
    from transformers import AutoConfig

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


SHAPES: dict[str, Callable[[], memory.Shape]] = {
    "Llama-2-7B": lambda: memory.shape_of("Llama-2-7B"),
    "Llama-2-13B": lambda: llama(5120, 13824, 40, 40, 40, 32000),
    "Llama-3.1-8B": lambda: llama(4096, 14336, 32, 32, 8, 128256),
    "Llama-3.3-70B": lambda: llama(8192, 28672, 80, 64, 8, 128256),
    "Qwen-7B": lambda: llama(4096, 11008, 32, 32, 32, 151936),  # the first Qwen: Llama's sizes
}


class Published(NamedTuple):
    """One figure: what a job took, in bytes."""

    source: str
    model: str
    job: Job
    size: float
    tensors: bool = False  # whether it counts tensors alone, without CUDA's context and the allocator's slack

    def planned(self) -> float:
        """What the planner says of the same, in bytes."""
        bill = memory.predict(SHAPES[self.model](), self.job).bill
        return bill.total - bill.overhead * self.tensors

    def error(self) -> float:
        """How far the plan is off: below zero, the job took more than planned."""
        return self.planned() / self.size - 1


def unsloth(gib: int, tokens: int, model: str = "Llama-3.1-8B") -> Published:
    """A card's size, and the longest text that Hugging Face with FlashAttention-2 trained on it: r = 32, batch 1.

    The table is of December 2024, when transformers (4.47) still copied the 32-bit logits to shift them.
    """
    job = Job("qlora", 32, seq=tokens, recipe="hf", loss="shifted")
    return Published(UNSLOTH, model, job, gib * GIB)


def qwen(method: str, tokens: int, gb: float) -> Published:
    """Qwen-7B's README: one A100, batch 1, r = 64, Trainer with bf16 and checkpointing. Its 4-bit base is GPTQ's.

    prepare_model_for_kbit_training leaves a GPTQ base's embeddings in 16 bits, as this course's recipe does.
    """
    recipe: dict[str, Any] = {"recipe": "hf"} if method == "lora" else {"layer": "peft"}
    return Published(QWEN, "Qwen-7B", Job(method, 64, seq=tokens, **recipe), gb * GB)


def litgpt(model: str, method: str, batch_size: int, gb: float) -> Published:
    """litgpt's tables: bf16-true, so adapters in 16 bits, r = 8 on q and v, no checkpointing; Alpaca's longest row.

    The loss is taken in chunks, and what is printed is torch.cuda.max_memory_allocated.
    """
    how: dict[str, Any] = {"gradient_checkpointing": False, "adapter_dtype": "bf16", "layer": "peft"}
    job = Job(method, 8, QV, 1304, batch_size=batch_size, loss="chunked", **how)
    return Published(LITGPT, model, job, gb * GB, tensors=True)


def torchtune(method: str, gib: float) -> Published:
    """torchtune's README, RTX 4090: r = 8 on all but k, bf16 throughout, packed to 2,048 tokens, the loss in chunks.

    It names no measure; where its documents do (README of November 2024), it is the peak of active memory: tensors.
    If it were the whole card, the plan would be 15% and 17% too high. A compiled loss needs no chunk in 32 bits, either.
    """
    targets = ("q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    how: dict[str, Any] = {"batch_size": 2, "adapter_dtype": "bf16", "optimizer": "adamw_fused"}
    job = Job(method, 8, targets, 2048, loss="chunked", **how)
    return Published(TORCHTUNE, "Llama-3.1-8B", job, gib * GIB, tensors=True)


ROWS = (
    unsloth(12, 932),
    unsloth(16, 2551),
    unsloth(24, 5789),
    unsloth(40, 12264),
    unsloth(48, 15502),
    unsloth(80, 28454),
    unsloth(80, 6916, "Llama-3.3-70B"),
    torchtune("lora", 16.2),
    torchtune("qlora", 7.4),
    qwen("lora", 256, 20.1),
    qwen("lora", 512, 20.4),
    qwen("lora", 1024, 21.5),
    qwen("lora", 2048, 23.8),
    qwen("lora", 4096, 29.7),
    qwen("lora", 8192, 36.6),
    qwen("qlora", 256, 11.5),
    qwen("qlora", 512, 11.5),
    qwen("qlora", 1024, 12.3),
    qwen("qlora", 2048, 13.9),
    qwen("qlora", 4096, 16.9),
    qwen("qlora", 8192, 23.5),
    litgpt("Llama-2-7B", "lora", 1, 21.30),
    litgpt("Llama-2-7B", "lora", 2, 29.07),
    litgpt("Llama-2-13B", "lora", 1, 38.12),
    litgpt("Llama-2-7B", "qlora", 1, 13.84),
    litgpt("Llama-2-13B", "qlora", 1, 22.55),
)


def full_bf16() -> float:
    """LLaMA-Factory's estimate of a 7B's full fine-tuning in bf16, in GB."""
    return published.figure("full_fine_tuning.bf16_gb")


MOST_TOOK_MORE = "Most published jobs took more than planned: the plan errs on the side that runs out of memory."


def record_errors(errors: Mapping[Published, float]) -> None:
    """How far the plan is off at worst on each side, and how many jobs took more."""
    record("published.figures", len(errors), "published figures")
    record("published.low", -min(errors.values()), "less planned than was taken, the worst")
    record("published.low_later", -sorted(errors.values())[2], "less planned than was taken, without the two worst")
    record("published.high", max(errors.values()), "more planned than was taken, the worst")
    record("published.took_more", sum(e < 0 for e in errors.values()), "jobs took more than planned")


def beside(errors: Mapping[Published, float]) -> Figure:
    """A dot for each published figure, in percent: a triangle to the left of zero where the job took more than planned."""
    figure = Figure(figsize=(8.4, 1.2 + 0.23 * len(errors)))
    ax = figure.subplots()
    ax.axvspan(-15, 15, color="#eef0f2", zorder=0)
    ax.text(14.6, -0.1, "±15%", color=GREY, size=10, ha="right", va="top")
    ax.axvline(0, color=GREY, lw=1.2)
    for y, error in enumerate(errors.values()):
        color, marker = (VERMILION, "<") if error < 0 else (BLUE, "o")
        ax.plot([0, 100 * error], [y, y], color=color, lw=1.4)
        ax.plot([100 * error], [y], marker, color=color, ms=7)
    ax.set_yticks(range(len(errors)), list(map(job_in_words, errors)), size=9)
    ax.set(ylim=(len(errors) - 0.4, -0.6), xlim=(-32, 32))
    ax.set_xlabel("the plan is … percent off      ◂ it took more than planned   |   it took less ●")
    ax.grid(visible=False, axis="y")
    return figure


def job_in_words(row: Published) -> str:
    """Who measured what: "Qwen's README: Qwen-7B, lora, 256 tokens"."""
    rows = f"{row.job.batch_size} × " if row.job.batch_size > 1 else ""
    return f"{row.source}: {row.model}, {row.job.method}, {rows}{row.job.seq:,} tokens"


def in_words(errors: Mapping[Published, float]) -> str:
    """The range of each source's errors, and how many lie on each side."""
    by_source: dict[str, list[float]] = {}
    for row, error in errors.items():
        by_source.setdefault(row.source, []).append(error)
    listed = "; ".join(
        f"{source} ({len(its_own)}) {min(its_own):+.0%} to {max(its_own):+.0%}" for source, its_own in by_source.items()
    )
    more = sum(error < 0 for error in errors.values())
    return (
        f"How far the plan is from {len(errors)} published figures: {listed}. "
        f"{more} of the jobs took more than planned, {len(errors) - more} less."
    )
