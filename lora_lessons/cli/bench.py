"""`lora-lessons bench`: measure what the lessons predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .exits import EXIT_FAILED, EXIT_OK


def bench(
    what: Annotated[
        Literal["train", "memory", "quantize", "encoder"],
        typer.Argument(
            metavar="train|memory|quantize|encoder",
            help="train: transformers' Trainer with PEFT and this course's loop, the same steps in turn, and the machine's "
            "limit (about a quarter of an hour); memory: predicted, measured and error of each setting; quantize: our NF4 beside bitsandbytes'; "
            "encoder: rounding and QLoRA on a base that was never rounded before.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Without it, Qwen2.5-7B on a card, SmolLM2-135M's shape elsewhere."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Without it, the recording in data/measurements/.")
    ] = None,
) -> int:
    """Measure the speed of training, memory, quantizing, or what 4 bits cost.

    Each choice is a benchmark of its own, and prints both sides of what it compares.
    """
    from ..experiments import ledger, never_rounded, speed, training_speed

    if what == "train":
        training_speed.measure(out=out)
        return EXIT_OK
    if what == "quantize":
        speed.quantize()
        return EXIT_OK
    if what == "encoder":
        never_rounded.record(out=out)
        return EXIT_OK
    rows = ledger.measure_all(model, out)
    return EXIT_OK if any(row["status"] == ledger.OK for row in rows) else EXIT_FAILED
