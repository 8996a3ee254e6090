"""Lesson 08 on a real 1.5B, run as a learner without a card runs it: what it was, held, took and came to.

`python -m workshop record by-hand` (under 20 minutes; 1.1 GB to fetch, once) runs the cells of the lesson's page, and
writes data/measurements/lesson_08_by_hand.json, which the lesson quotes.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import nbformat

from lora_lessons import machine, memory
from lora_lessons.course.lesson import notebook_of
from lora_lessons.experiments import recordings
from lora_lessons.lessons import l07 as by_hand
from lora_lessons.paths import measurements

BASE = "qwen2.5-coder-1.5b"
PARAMETERS, TRAINS = "41a65b5c", "08loop"  # ids of cells
WANTED = ("08trl", "98a8cc03", "2aeed1cc", "ce65983b", TRAINS, "c0de080c")  # from the task to the answers


def record(base: str = BASE, out: Path | None = None) -> None:
    """Run the cells that train, on `base`, and keep their story with the seconds of the whole."""
    sources = {cell.id: cell.source for cell in nbformat.read(notebook_of("08_qlora_7b"), as_version=4).cells}
    imports = next(source for source in sources.values() if "\nbegin(" in source)
    started, seconds = time.perf_counter(), {}
    page: dict[str, Any] = {}
    for source in (sources[PARAMETERS], imports, f"model = {base!r}"):
        exec(source, page)
    held = 0
    for id in WANTED:
        begun = time.perf_counter()
        if id == TRAINS:
            machine.forget_peak()
            libraries = machine.resident_bytes() - memory.held_bytes(by_hand.tensors_in(page["base"].model))
        exec(sources[id], page)
        seconds[id] = time.perf_counter() - begun
        if id == TRAINS:
            held = machine.peak() - libraries
    job = page["job"]
    found = machine.stamp() | {
        "what": f"LoRA on {page['base'].name} in NF4, {page['steps']} steps by lesson 08",
        "weights": "real",
        "base": page["base"].name,
        "settings": {
            "r": job.r,
            "lora_alpha": page["lora_alpha"],
            "target_modules": job.target_modules,
            "learning_rate": page["rate"],
            "seed": page["seed"],
            "batch_size": job.batch_size,
            "dtype": job.dtype,
        },
        "bill": memory.predict(page["base"].model.config, job, card=False).bill._asdict(),
        "held_bytes": held,
        "losses": [round(loss, 4) for loss in page["losses"]],
        "seconds_training": round(seconds[TRAINS], 1),
        "question": page["question"],
        "answer_before": page["before"],
        "answer_after": page["after"],
        "loss_before": round(float(page["loss_before"]), 4),
        "loss_after": round(float(page["loss_after"]), 4),
        "seconds_whole": round(time.perf_counter() - started),
    }
    recordings.write(out or measurements() / "lesson_08_by_hand.json", found)
