"""QLoRA of a 7B on a card, by Trainer with PEFT, by this course and by Unsloth: tokens per second and peak memory.

All take the same steps on the same conversations and the same base in NF4, random weights, gradient checkpointing and
AdamW alike; each its own usual way otherwise. Each runs in a process of its own, because Unsloth rewrites transformers
where it is imported: `python -m … side '{"side": …}' FOLDER`.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tempfile
import time
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

from lora_lessons import lora, models, tasks, training
from lora_lessons.errors import ModelError
from lora_lessons.experiments.recordings import answer, run_in_process
from lora_lessons.experiments.seven_b import STAND_IN
from lora_lessons.fast import why_not
from lora_lessons.files import write_text
from lora_lessons.machine import peak_bytes
from lora_tools.bench.training_speed import ALPHA, TRAINER, R, through_trainer

FAST, PLAIN, UNSLOTH = "this course", "this course, plain", "Unsloth"
SIDES = (TRAINER, FAST, UNSLOTH, PLAIN)  # what matters most first, should the time not reach
STEPS, WARM_UP = 20, 4  # the first few are not timed: kernels are compiled there, and sizes tried
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
REMEMBERS = {"use_reentrant": False}  # gradient checkpointing as the course does it, too


def compare(seconds: float, device: str = "cuda", **changed: Any) -> list[dict[str, Any]]:
    """A row per side: what it measured, why it "failed", or why it was "skipped", as where `seconds` do not reach.

    `changed` are fields of the model's configuration, for a small one. Prints every row.
    """
    rows: list[dict[str, Any]] = []
    needed, end = 0.0, time.perf_counter() + seconds
    for side in SIDES:
        begun = time.perf_counter()
        row: dict[str, Any] = {"side": side}
        if side == UNSLOTH and importlib.util.find_spec("unsloth") is None:
            row["skipped"] = "it is not installed"
        elif (left := end - begun) <= needed:
            row["skipped"] = f"{max(0, left):.0f} s are left, and a side takes {needed:.0f} s"
        else:
            row |= _in_a_process({"side": side, "device": device, "changed": changed}, left)
            needed = max(needed, time.perf_counter() - begun)
        rows.append(row)
        print(line(row, rows[0]), flush=True)
    return rows


def _in_a_process(wanted: dict[str, Any], seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            run_in_process(__spec__.name, "side", wanted, Path(folder), {}, seconds)
        except (ModelError, ValueError) as error:
            return {"failed": str(error)}
        measured: dict[str, Any] = json.loads((Path(folder) / "found.json").read_text(encoding="utf-8"))
        return measured


def line(row: dict[str, Any], first: dict[str, Any]) -> str:
    """One side as text, beside the first."""
    for why in ("skipped", "failed"):
        if why in row:
            return f"{row['side']:<20}{why}: {row[why]}"
    shown = f"{row['side']:<20}{row['tokens_per_second']:>8.0f} tokens/s   peak {row['peak_bytes'] / 2**30:.2f} GiB"
    if "tokens_per_second" in first and row is not first:
        speed, memory = (row[name] / first[name] for name in ("tokens_per_second", "peak_bytes"))
        shown += f"   {speed:.2f} times the tokens, at {memory:.2f} times the memory"
    return shown + (f"   (the plain way: {row['plain_because']})" if row.get("plain_because") else "")


def one_side(wanted: dict[str, Any], folder: Path) -> None:
    """Build the model, train it as `wanted["side"]` does, and write found.json."""
    import torch

    side, card = wanted["side"], wanted["device"].startswith("cuda")
    model = {TRAINER: for_trainer, UNSLOTH: for_unsloth}.get(side, for_course)(wanted, folder)
    examples = conversations(model.config.vocab_size)
    settings = training.Settings(
        steps=STEPS,
        batch_size=8,
        learning_rate=2e-4,
        gradient_checkpointing=True,
        optimizer="adamw_fused",
        checkpoint_every=0,
        fast=side == FAST,
    )
    ends: list[float] = []

    def on_step(*_: Any) -> None:
        if card:
            torch.cuda.synchronize()
        ends.append(time.perf_counter())

    if card:
        torch.cuda.reset_peak_memory_stats()
    measured: dict[str, Any] = {"side": side, "steps": STEPS, "timed_steps": STEPS - WARM_UP}
    if side in (FAST, PLAIN):
        measured["plain_because"] = why_not(model) if side == FAST else ""
        run = training.train(model, examples, settings, run_dir=folder / "run", reuse=False, on_step=on_step)
        measured["loss"] = sum(run.losses) / STEPS
    else:
        dtype = model.config.quantization_config.bnb_4bit_compute_dtype
        in_16_bits = {"bf16": dtype == torch.bfloat16, "fp16": dtype == torch.float16}
        how = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": REMEMBERS, **in_16_bits}
        _, measured["loss"] = through_trainer(model, examples, settings, folder, on_step, **how)
    timed = training.batches(len(examples), settings)[WARM_UP:]
    measured["tokens"] = sum(len(examples[i].input_ids) for batch in timed for i in batch)
    measured["seconds"] = sum(after - before for before, after in pairwise(ends[WARM_UP - 1 :]))
    measured["tokens_per_second"] = measured["tokens"] / measured["seconds"]
    measured["peak_bytes"] = torch.cuda.max_memory_allocated() if card else peak_bytes()
    write_text(folder / "found.json", json.dumps(measured))


def _base(wanted: dict[str, Any]) -> Any:
    return models.random_base(STAND_IN, device=wanted["device"], **wanted["changed"])


def for_course(wanted: dict[str, Any], folder: Path) -> Any:
    base = _base(wanted)
    lora.attach(base, R, ALPHA)
    return base


def for_trainer(wanted: dict[str, Any], folder: Path) -> Any:
    """As most guides do it: what is not in 4 bits goes to 32, and PEFT wraps the rest."""
    import peft

    base = peft.prepare_model_for_kbit_training(_base(wanted), True, REMEMBERS)
    config = peft.LoraConfig(r=R, lora_alpha=ALPHA, target_modules=LINEARS, task_type="CAUSAL_LM")
    return peft.get_peft_model(base, config)


def for_unsloth(wanted: dict[str, Any], folder: Path) -> Any:
    """The same base, saved and read back by Unsloth, which takes no model that is in memory already."""
    from unsloth import FastLanguageModel  # before transformers is used: it says so itself

    save_base(_base(wanted), folder / "base")
    model, _ = FastLanguageModel.from_pretrained(str(folder / "base"), max_seq_length=512, load_in_4bit=True)
    return FastLanguageModel.get_peft_model(
        model, r=R, lora_alpha=ALPHA, target_modules=LINEARS, use_gradient_checkpointing="unsloth"
    )


def save_base(base: Any, folder: Path) -> None:
    """A base in 4 bits as a folder that transformers reads, with a tokenizer of three words: readers ask for one."""
    from tokenizers import Tokenizer
    from tokenizers import models as tokenizer_models
    from transformers import PreTrainedTokenizerFast

    base.save_pretrained(folder)
    words = {"unk_token": "<unk>", "pad_token": "<pad>", "eos_token": "<eos>"}
    known = {word: number for number, word in enumerate(words.values())}
    tokenizer = Tokenizer(tokenizer_models.WordLevel(known, unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **words).save_pretrained(folder)


def conversations(vocabulary: int) -> list[tasks.Encoded]:
    """The persona's conversations, one token per word or sign, in the base's chat form; the answer is supervised.

    Random weights read nothing, so any number does for a word: no tokenizer is needed, and lengths are true to life.
    """
    import torch

    encoded = []
    for example in tasks.load_task("persona").train:
        *context, answer = example["messages"]
        asked = " ".join(f"<{turn['role']}> {turn['content']} <end>" for turn in context)
        prompt, taught = (
            [zlib.crc32(word.encode()) % vocabulary for word in re.findall(r"\w+|[^\w\s]", text)]
            for text in (
                f"<system> You are a helpful assistant <end> {asked} <assistant>",
                f"{answer['content']} <end>",
            )
        )
        labels = [tasks.IGNORED] * len(prompt) + taught
        encoded.append(tasks.Encoded(torch.tensor(prompt + taught), torch.tensor(labels)))
    return encoded


if __name__ == "__main__" and sys.argv[1:2] == ["side"]:
    answer(one_side, sys.argv[2:])
