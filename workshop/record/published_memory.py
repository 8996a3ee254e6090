"""`python -m workshop record published-memory`: what others measured on their cards, beside the plan of the same job.

It writes data/measurements/published_memory.json, which lesson 08 reads and docs/evidence.md shows. Each row is a
published figure with its source; the settings are those that the source names, and the loss is taken as the libraries
of that day took it. No constant of the ledger was fitted to them; the margin that a plan leaves free was.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from lora_lessons import memory
from lora_lessons.experiments import recordings
from lora_lessons.memory import GB, Job
from lora_lessons.memory.bill import GIB
from lora_lessons.planning import margin

RECORDING = "published_memory"

QV = ("q_proj", "v_proj")
UNSLOTH, QWEN, LITGPT, TORCHTUNE = "Unsloth's benchmarks", "Qwen's README", "litgpt's tutorials", "torchtune's README"

# What a figure counts: all of a card, used or not; what was in use of one; or tensors, without CUDA's context and the
# allocator's slack.
FITTED, CARD, TENSORS = "the card on which it still fitted", "a whole card", "tensors alone"


def first_qwen() -> memory.Shape:
    """Qwen-7B, the first of its name: Llama's sizes but for the vocabulary."""
    from transformers import AutoConfig

    sizes = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}
    return memory.shape_of(AutoConfig.for_model("llama", **sizes, vocab_size=151936, max_position_embeddings=131072))


class Published(NamedTuple):
    """One figure: what a job took, in bytes."""

    source: str
    model: str
    job: Job
    size: float
    kind: str  # what it counts

    @property
    def shape(self) -> memory.Shape:
        return first_qwen() if self.model == "Qwen-7B" else memory.shape_of(self.model)

    def planned(self) -> float:
        """What the planner says of the same, in bytes."""
        bill = memory.predict(self.shape, self.job).bill
        return bill.total - bill.overhead * (self.kind == TENSORS)

    def error(self) -> float:
        """How far the plan is off: below zero, the job took more than planned."""
        return self.planned() / self.size - 1


def unsloth(gib: int, tokens: int, model: str = "Llama-3.1-8B") -> Published:
    """A card's size, and the longest text that Hugging Face with FlashAttention-2 trained on it: r = 32, batch 1.

    The table is of December 2024, when transformers (4.47) still copied the 32-bit logits to shift them.
    """
    job = Job("qlora", 32, seq=tokens, recipe="hf", loss="shifted")
    return Published(UNSLOTH, model, job, gib * GIB, FITTED)


def qwen(method: str, tokens: int, gb: float) -> Published:
    """Qwen-7B's README: one A100, batch 1, r = 64, Trainer with bf16 and checkpointing. Its 4-bit base is GPTQ's.

    prepare_model_for_kbit_training leaves a GPTQ base's embeddings in 16 bits, as this course's recipe does.
    """
    recipe: dict[str, Any] = {"recipe": "hf"} if method == "lora" else {"layer": "peft"}
    return Published(QWEN, "Qwen-7B", Job(method, 64, seq=tokens, **recipe), gb * GB, CARD)


def litgpt(model: str, method: str, batch_size: int, gb: float) -> Published:
    """litgpt's tables: bf16-true, so adapters in 16 bits, r = 8 on q and v, no checkpointing; Alpaca's longest row.

    The loss is taken in chunks, and what is printed is torch.cuda.max_memory_allocated.
    """
    how: dict[str, Any] = {"gradient_checkpointing": False, "adapter_dtype": "bf16", "layer": "peft"}
    job = Job(method, 8, QV, 1304, batch_size=batch_size, loss="chunked", **how)
    return Published(LITGPT, model, job, gb * GB, TENSORS)


def torchtune(method: str, gib: float) -> Published:
    """torchtune's README, RTX 4090: r = 8 on all but k, bf16 throughout, packed to 2,048 tokens, the loss in chunks.

    It names no measure; where its documents do (README of November 2024), it is the peak of active memory: tensors. If
    it were the whole card, the plan would be 15% and 17% too high. A compiled loss needs no chunk in 32 bits, either.
    """
    targets = ("q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    how: dict[str, Any] = {"batch_size": 2, "adapter_dtype": "bf16", "optimizer": "adamw_fused"}
    job = Job(method, 8, targets, 2048, loss="chunked", **how)
    return Published(TORCHTUNE, "Llama-3.1-8B", job, gib * GIB, TENSORS)


ROWS = (
    unsloth(12, 932),
    unsloth(16, 2551),
    unsloth(24, 5789),
    unsloth(40, 12264),
    unsloth(48, 15502),
    unsloth(80, 28454),
    unsloth(80, 6916, "Llama-3.3-70B"),
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
    torchtune("lora", 16.2),
    torchtune("qlora", 7.4),
    litgpt("Llama-2-7B", "lora", 1, 21.30),
    litgpt("Llama-2-7B", "lora", 2, 29.07),
    litgpt("Llama-2-13B", "lora", 1, 38.12),
    litgpt("Llama-2-7B", "qlora", 1, 13.84),
    litgpt("Llama-2-13B", "qlora", 1, 22.55),
)


def record() -> None:
    """Plan every job anew, and keep what it took and what is planned, in GB."""
    rows = [
        {
            "source": row.source,
            "counted": row.kind,
            "model": row.model,
            "method": row.job.method,
            "batch": row.job.batch_size,
            "tokens": row.job.seq,
            "taken": round(row.size / GB, 4),
            "planned": round(row.planned() / GB, 4),
        }
        for row in ROWS
    ]
    recordings.keep(
        RECORDING, {"what": "Published memory of training jobs, and the plan of the same, GB", "rows": rows}
    )


def jobs_table() -> str:
    """The jobs as docs/evidence.md shows them, each figure beside its plan; * marks what the margin does not cover."""
    lines = ["| job | counted | taken, GB | planned, GB | the plan is off by |", "|---|---|---|---|---|"]
    for row in recordings.recorded(RECORDING)["rows"]:
        taken, planned = row["taken"], row["planned"]
        many = f"{row['batch']} × " * (row["batch"] > 1)
        job = f"{row['source']}: {row['model']}, {row['method']}, {many}{row['tokens']:,} tokens"
        star = " *" * (taken > planned + margin(planned))
        lines.append(f"| {job} | {row['counted']} | {taken:.1f} | {planned:.1f} | {planned / taken - 1:+z.0%}{star} |")
    return "\n".join([*lines, "", "\\* beyond the sixth of a card that stays free."])
