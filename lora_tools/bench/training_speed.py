"""How fast LoRA trains here: transformers' Trainer and TRL's with PEFT, and this course's loop, the same steps in turn.

Each side runs in a process of its own, so that its peak memory is its own: `python -m … side '{"task": …}' FOLDER`.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn
from tqdm.auto import tqdm

from lora_lessons import evaluation, lora, models, tasks, training
from lora_lessons.experiments.recordings import answer, keep, run_in_process
from lora_lessons.fast import FastPath
from lora_lessons.files import write_text
from lora_lessons.machine import machine, peak_bytes
from lora_lessons.tasks import Encoded
from lora_lessons.training import losses

RECORDING = "training_speed"
TRAINER, TRL = "Trainer + PEFT", "SFTTrainer + PEFT"
COURSE, ALONE = "this course", "this course, nothing shared"
TASKS = ("persona", "strict_json")
R, ALPHA = 8, 16
JUDGED = 24
# Steps on a model of one's own, which may be a hundred times as large.
OWN_STEPS = 8


def how(steps: int, in_16_bits: bool) -> training.Settings:
    """Both sides' settings: the sweep's learning rate, batches of eight."""
    return training.Settings(
        steps=steps,
        batch_size=8,
        learning_rate=2e-3,
        autocast=in_16_bits,
        optimizer="adamw_fused",
        checkpoint_every=0,
    )


def measure(
    out: Path | None = None, model: str | None = None, precision: str | None = None, steps: int = 20, repeats: int = 3
) -> dict[str, Any]:
    """Every side on both tasks, in turn, `repeats` times; prints medians and ratios, and keeps the recording.

    Held-out losses are nats per supervised token, rates supervised tokens per second, memory the peak of the process,
    beside its peak while the base was loaded. "Nothing shared" is this course's loop when every chat begins in its own
    way: these two tasks' chats share a prompt, which is then computed once for a batch.
    Without TRL its side is left out, which is said.

    On a `model` of your own, Trainer's side and the course's take OWN_STEPS steps on one task. `precision` is "fp32",
    "bf16" or "nf4"; without it, what this machine computes faster.
    """
    precision = precision or models.best_precision().name
    recording: dict[str, Any] = {"precision": precision, "steps": OWN_STEPS if model else steps, "rows": []}
    recording |= {"model": model} if model else {}
    sides = [TRAINER, COURSE] if model else [side for side in SIDES if side != TRL or has_trl()]
    best = 0.0
    took = "a quarter of an hour to half an hour" if repeats > 1 else "five to ten minutes"
    print(f"On two cores this takes {took} on the course's base; the bar counts the runs.", file=sys.stderr)
    bar = tqdm(total=(1 if model else len(TASKS)) * repeats * len(sides), unit="run", desc="bench train", leave=False)
    with bar, tempfile.TemporaryDirectory() as scratch:
        for task in TASKS[:1] if model else TASKS:
            runs: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
            for turn in range(repeats):
                for side, so_far in runs.items():
                    folder = Path(scratch, task, f"{turn}-{side.replace(' ', '_')}")
                    wanted = {"side": side, "task": task, "steps": recording["steps"], "precision": precision}
                    run_in_process(__name__, "side", wanted | {"model": model or models.EMBEDDED}, folder, {})
                    found = json.loads((folder / "found.json").read_text(encoding="utf-8"))
                    best = max(best, found.pop("limit"))  # whatever else the machine does only makes it smaller
                    so_far.append(found)
                    bar.update()
            recording["rows"] += [_median(task, side, ran) for side, ran in runs.items()]
    for row in recording["rows"]:
        row["share_of_limit"] = row["flops"] / row["seconds"] / best
    print(f"{machine()}, {precision}: its matrix products reach {best / 1e9:.0f} GFLOP/s at this model's sizes.")
    print("\n".join(in_words(recording["rows"])))
    keep(RECORDING, recording | {"limit_flops": best}, out)
    return recording


def _median(task: str, side: str, runs: list[dict[str, float]]) -> dict[str, Any]:
    """The median of each measure over `runs`, and the range of their seconds."""
    seconds = [run["seconds"] for run in runs]
    medians = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return {"task": task, "side": side} | medians | {"seconds_range": [min(seconds), max(seconds)]}


def in_words(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each side of each task, with its ratio to Trainer + PEFT; the range where a recording has it."""
    trainer = {row["task"]: row for row in rows if row["side"] == TRAINER}
    for row in rows:
        spread = " ({:.1f} to {:.1f})".format(*row["seconds_range"]) if "seconds_range" in row else ""
        ratio = row["supervised_per_second"] / trainer[row["task"]]["supervised_per_second"]
        loading = f" ({row['loading'] / 1e9:.2f} once loaded)" if "loading" in row else ""
        times = "" if row["side"] == TRAINER else f", {ratio:.2f} times Trainer's"
        yield (
            f"{row['task']:<12}{row['side']:<28}{row['seconds']:6.1f} s{spread}"
            f"{row['supervised_per_second']:6.0f} supervised tokens/s{times}   "
            f"held-out {row['loss']:.3f} nats   peak {row['peak'] / 1e9:.2f} GB{loading}   "
            f"{row['share_of_limit']:.0%} of the limit"
        )


def has_trl() -> bool:
    """Whether TRL is installed; where it is not, say so."""
    if importlib.util.find_spec("trl"):
        return True
    print("TRL is not installed, so its trainer is left out: pip install trl")
    return False


def limit(model: Any, tokens: int = 512, repeats: int = 10) -> float:
    """The most floating-point operations per second of this machine, over the products that `model` is made of."""
    shapes = {
        # a weight in 4 bits is multiplied in another format than it is held in
        (m.out_features, m.in_features, getattr(m, "compute_dtype", None) or m.weight.dtype)
        for m in model.modules()
        if isinstance(m, nn.Linear)
    }
    return max(_rate(*shape, model.device, tokens, repeats) for shape in shapes)


def _rate(d: int, k: int, dtype: Any, device: Any, tokens: int, repeats: int) -> float:
    x, W = (torch.randn(n, k, dtype=dtype, device=device) for n in (tokens, d))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        (x @ W.T)[0, 0].item()  # asked for, so that a card has finished
        times.append(time.perf_counter() - start)
    return 2 * tokens * d * k / min(times)


def one_side(wanted: dict[str, Any], folder: Path) -> None:
    """Train, judge and write found.json: one side of one task."""
    base = models.load(wanted["model"], wanted["precision"])
    in_16_bits = base.model.model.norm.weight.dtype == torch.bfloat16
    loading = peak_bytes()
    task = tasks.load_task(wanted["task"])
    examples = [tasks.encode(base.tokenizer, example) for example in task.train]
    settings = how(wanted["steps"], in_16_bits)
    seconds, model = SIDES[wanted["side"]](base.model, examples, settings, folder)
    peak = peak_bytes()
    held_out = [tasks.encode(base.tokenizer, example) for example in task.held_out[:JUDGED]]
    seen = in_our_order(examples, settings)
    supervised = sum(int((one.labels != tasks.IGNORED).sum()) for one in seen)
    measured = {
        "seconds": seconds,
        "supervised_per_second": supervised / seconds,
        "loss": evaluation.held_out_loss(model, held_out),
        "peak": peak,
        "loading": loading,
        "limit": limit(base.model),
        "flops": needed(base.model, seen, settings.batch_size),
        "chat_tokens": statistics.mean(len(one.input_ids) for one in seen),
    }
    write_text(folder / "found.json", json.dumps(measured))
    print(json.dumps({"settings": asdict(settings)} | measured), file=sys.stderr)


def needed(model: Any, seen: list[tasks.Encoded], batch_size: int) -> float:
    """Floating-point operations that the steps need: linear layers twice per token (there, and back to x), A and B
    three times, the head twice per supervised token. What every chat of a batch begins with counts once;
    attention is left out.
    """
    from lora_lessons.fast.rows import Rows

    linears = [m for m in model.model.modules() if isinstance(m, nn.Linear) and not m.weight.requires_grad]
    frozen = sum(m.out_features * m.in_features for m in linears)
    learned = sum(R * (m.in_features + m.out_features) for m in linears)
    head = model.get_output_embeddings().weight.numel()
    total = 0.0
    for start in range(0, len(seen), batch_size):
        rows = Rows(seen[start : start + batch_size], torch.device("cpu"))
        total += len(rows.input_ids) * (4 * frozen + 6 * learned) + len(rows.labels) * 4 * head
    return total


def with_course(model: Any, examples: Any, settings: training.Settings, folder: Path) -> tuple[float, Any]:
    lora.attach(model, r=R, lora_alpha=ALPHA)
    start = time.perf_counter()
    training.train(model, examples, settings, run_dir=folder / "run", reuse=False)
    return time.perf_counter() - start, model


def with_nothing_shared(model: Any, examples: Any, settings: training.Settings, folder: Path) -> tuple[float, Any]:
    """`with_course`, as if every chat of a batch began in its own way."""
    with mock.patch.object(losses, "FastPath", partial(FastPath, share_prefix=False)):
        return with_course(model, examples, settings, folder)


def with_trainer(model: Any, examples: Any, settings: training.Settings, folder: Path) -> tuple[float, Any]:
    wrapped = _with_peft(model)
    seconds, _ = through_trainer(wrapped, examples, settings, folder)
    return seconds, wrapped


def with_trl(model: Any, examples: Any, settings: training.Settings, folder: Path) -> tuple[float, Any]:
    """TRL's SFTTrainer as it comes, on the same tokens, batches and rates."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = [
        {"input_ids": one.input_ids.tolist(), "labels": one.labels.tolist()} for one in in_our_order(examples, settings)
    ]
    wrapped = _with_peft(model)
    trainer = SFTTrainer(
        wrapped,
        SFTConfig(**_arguments(settings, folder)),
        train_dataset=Dataset.from_list(rows),
        processing_class=models.load_tokenizer(models.embedded_folder()),
        optimizers=our_rates(wrapped, settings),
    )
    start = time.perf_counter()
    trainer.train()
    return time.perf_counter() - start, wrapped


# Who takes the steps, in the order of the table.
SIDES: dict[str, Callable[..., tuple[float, Any]]] = {
    TRAINER: with_trainer,
    TRL: with_trl,
    ALONE: with_nothing_shared,
    COURSE: with_course,
}


def _with_peft(model: Any) -> Any:
    """PEFT's adapters; on a base in 4 bits as most guides do it: bitsandbytes' own layers, and the rest in 32 bits."""
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    if getattr(model, "is_loaded_in_4bit", False):
        from lora_lessons.models.four_bit import make_stock

        make_stock(model)
        prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    config = LoraConfig(r=R, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(model, config)


def _arguments(settings: training.Settings, folder: Path) -> dict[str, Any]:
    """The arguments of transformers' and TRL's trainers that say what `settings` does."""
    return quiet(str(folder)) | {
        "max_steps": settings.steps,
        "per_device_train_batch_size": settings.batch_size,
        "max_grad_norm": 0.0,
        "bf16": settings.autocast,
        "logging_strategy": "no",
    }


def through_trainer(
    wrapped: Any,
    examples: Any,
    settings: training.Settings,
    folder: Path,
    on_step: Callable[..., object] = lambda *_: None,
    **changed: Any,
) -> tuple[float, float]:
    """Train PEFT's model by transformers' Trainer on the course's batches and rates; seconds, and the mean loss.

    `on_step` is called at the end of each step; `changed` goes to TrainingArguments.
    """
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class AtStepsEnd(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            on_step()

    trainer = Trainer(
        wrapped,
        TrainingArguments(**_arguments(settings, folder) | changed),
        train_dataset=in_our_order(examples, settings),
        data_collator=lambda rows: tasks.collate(rows, pad_id=0),
        callbacks=[AtStepsEnd()],
        optimizers=our_rates(wrapped, settings),
    )
    start = time.perf_counter()
    done = trainer.train()
    return time.perf_counter() - start, done.training_loss


def quiet(folder: str) -> dict[str, Any]:
    """TrainingArguments that keep the order of the data and every loss, and write nothing but to `folder`."""
    return {
        "output_dir": folder,
        "train_sampling_strategy": "sequential",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "use_cpu": models.best_device() == "cpu",
    }


def in_our_order(examples: Sequence[Encoded], how: training.Settings) -> list[Encoded]:
    """The examples of every step in turn, as `training.train` takes them."""
    return [examples[i] for batch in training.batches(len(examples), how) for i in batch]


def our_rates(model: nn.Module, how: training.Settings) -> tuple[torch.optim.Optimizer, Any]:
    """AdamW over what is trainable, and the schedule of `how`: what Trainer takes as `optimizers`."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=how.learning_rate, weight_decay=0, fused=how.optimizer == "adamw_fused")
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: how.rate(step) / how.learning_rate)


if __name__ == "__main__" and sys.argv[1:2] == ["side"]:
    answer(one_side, sys.argv[2:])
