"""`lora-lessons bench`: measure what the lessons predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .exits import EXIT_FAILED, EXIT_OK


def bench(
    what: Annotated[
        Literal["memory", "quantize"],
        typer.Argument(
            metavar="memory|quantize",
            help="memory: predicted, measured and error of each setting; quantize: our NF4 beside bitsandbytes'.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Without it, Qwen2.5-7B on a card, SmolLM2-135M's shape elsewhere."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Without it, data/measurements/ledger_<card>.json.")
    ] = None,
) -> int:
    """Measure a training step's memory, or how fast we quantize."""
    from ..experiments import ledger, speed

    if what == "quantize":
        speed.quantize()
        return EXIT_OK
    rows = ledger.measure_all(model, out)
    return EXIT_OK if any(row["status"] == ledger.OK for row in rows) else EXIT_FAILED
