"""A 7B trained on a processor: built in 4 bits, adapters attached, true steps taken, and what it cost.

It runs in a process of its own, so that its peak memory is its own; killed, it goes on from its last checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from ..machine import peak_bytes, resident_bytes, stamp
from ..models import SHAPES
from ..paths import cache_dir
from . import recordings
from .recordings import LARGE_PAGES, answer, run_in_process

RECORD = "record.json"
STAND_IN = "Qwen2.5-7B"  # the shape with random weights, where there is a card and no hub

DEFAULTS: dict[str, Any] = {
    "model": "Qwen2.5-7B",
    "steps": 10,
    "r": 16,
    "lora_alpha": 32,
    "seq": 64,
    "learning_rate": 2e-4,
    "seed": 0,
    "checkpoint_every": 2,
    "changed": {},
}


def train_seven_b(
    model: str | Path = "Qwen2.5-7B", *, run_dir: Path | str | None = None, **settings: Any
) -> dict[str, Any]:
    """Train LoRA on a 7B in NF4 on this machine's processor; return what was measured.

    `model` is a name of models.SHAPES (random weights), a local folder or a hub id (real ones). `settings`: steps, r,
    lora_alpha, seq (tokens of the one sequence that every step sees), learning_rate, seed, checkpoint_every, and
    `changed`, fields of a random model's configuration. All linear layers, AdamW, gradient checkpointing.
    Progress is shown; adapters and moments are written to `run_dir` every few steps, and the same call goes on from
    there. A finished run of the same settings, machine and versions is read back (its record says "reused"), unless
    $LORA_LESSONS_FRESH is set.
    Raises ModelError when the model cannot be had or memory ran out, ValueError for a setting that cannot be.
    """
    if unknown := set(settings) - set(DEFAULTS):
        raise ValueError(f"{sorted(unknown)[0]} is no setting of this run: choose from {', '.join(DEFAULTS)}.")
    wanted = DEFAULTS | settings | {"model": str(model)}
    mark = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
    folder = Path(run_dir) if run_dir else cache_dir() / "runs" / f"seven_b-{mark}"
    record = _record_in(folder / RECORD)
    about = stamp()
    now = {"settings": wanted, "machine": about["machine"], "versions": about["versions"]}
    if record and now.items() <= record.items() and not os.environ.get("LORA_LESSONS_FRESH"):
        return record | {"reused": True}
    (folder / RECORD).unlink(missing_ok=True)
    run_in_process(__spec__.name, "train", wanted, folder, LARGE_PAGES)
    return recordings.read(folder / RECORD)


def _record_in(path: Path) -> dict[str, Any] | None:
    """The record in `path`; None where there is none, or a damaged one."""
    try:
        return recordings.read(path)
    except (OSError, ValueError):
        return None


def _train(wanted: dict[str, Any], folder: Path) -> None:
    """What the process does: build, attach, train, and write the record."""
    import torch

    from .. import lora, models, training
    from ..fast import why_not

    start = time.perf_counter()
    base, tokenizer = build(wanted)
    build_seconds, built = time.perf_counter() - start, resident_bytes()
    adapted = lora.attach(base, wanted["r"], wanted["lora_alpha"], "all-linear", seed=wanted["seed"])
    settings = training.Settings(
        steps=wanted["steps"],
        batch_size=1,
        learning_rate=wanted["learning_rate"],
        warmup=1,
        seed=wanted["seed"],
        gradient_checkpointing=True,
        checkpoint_every=wanted["checkpoint_every"],
    )
    before = training.steps_done(folder / training.CHECKPOINT)
    # Finished without a record that holds: there is nothing to measure but a new run.
    reuse = not (folder / training.FINISHED).is_file() and not os.environ.get("LORA_LESSONS_FRESH")
    result = training.train(base, [sequence(base, tokenizer, wanted)], settings, run_dir=folder, reuse=reuse)
    record = {
        "what": f"LoRA on {wanted['model']} in NF4 on a processor: {wanted['steps']} steps on one sequence",
        "weights": "random" if tokenizer is None else "real",
        **stamp(),
        "settings": wanted,
        "threads": torch.get_num_threads(),
        "compute_dtype": str(base.config.quantization_config.bnb_4bit_compute_dtype).removeprefix("torch."),
        "base_numbers": models.base_weights(base),
        "trainable_numbers": lora.trainable_parameters(base),
        "adapted_layers": len(adapted),
        "fast": not why_not(base),
        "build_seconds": round(build_seconds, 1),
        "seconds_a_step": round(result.seconds / len(result.losses), 2),
        "tokens_a_step": result.tokens // len(result.losses),
        "resident_bytes_built": built,
        "peak_bytes": peak_bytes(),
        "resumed_at": before if reuse else 0,
        "losses": [round(loss, 4) for loss in result.losses],
    }
    recordings.write(folder / RECORD, record)


def build(wanted: dict[str, Any]) -> tuple[Any, Any]:
    """The base in NF4 on the processor, and its tokenizer: None where the weights are random."""
    from .. import models

    if wanted["model"] in SHAPES:
        return models.random_base(wanted["model"], "nf4", "cpu", seed=wanted["seed"], **wanted["changed"]), None
    base = models.load(wanted["model"], "nf4", "cpu")
    return base.model, base.tokenizer


def sequence(base: Any, tokenizer: Any, wanted: dict[str, Any]) -> Any:
    """The one sequence of every step, all supervised: English for a real model, random tokens for a random one."""
    import torch

    from .. import tasks

    if tokenizer is None:
        generator = torch.Generator().manual_seed(wanted["seed"])
        ids = torch.randint(base.config.vocab_size, (wanted["seq"],), generator=generator)
    else:
        ids = tokenizer(tasks.general_text(), return_tensors="pt")["input_ids"][0][: wanted["seq"]]
    return tasks.Encoded(ids, ids.clone())


if __name__ == "__main__" and sys.argv[1:2] == ["train"]:
    answer(_train, sys.argv[2:])
