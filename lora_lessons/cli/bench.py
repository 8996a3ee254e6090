"""`lora-lessons bench`: measure what the lessons predict."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .exits import EXIT_FAILED, EXIT_OK
from .places import place, place_or_name, shown

WHAT = (
    "train: transformers' Trainer with PEFT and this course's loop, the same steps in turn, and the machine's limit "
    "(about a quarter of an hour); layer: one LoRA layer by us, PEFT, loralib's formula and the fast path, beside the bare "
    "one; growth: a step's time and memory as rank, text and depth grow, beside the ledger; memory: predicted, measured and "
    "error of each setting; quantize: our NF4 beside bitsandbytes'; encoder: rounding and QLoRA on a base that was never "
    "rounded before; course: each lesson's seconds in the newest report, beside the recorded ones."
)


def bench(
    what: Annotated[
        Literal["train", "layer", "growth", "memory", "quantize", "encoder", "course"],
        typer.Argument(metavar="train|layer|growth|memory|quantize|encoder|course", help=WHAT),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            parser=place_or_name,
            metavar="MODEL",
            help="For memory. Without it, Qwen2.5-7B on a card, SmolLM2-135M's shape elsewhere.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=place,
            metavar="FILE",
            help="Without it, bench-CHOICE.json in this folder; quantize and course write only where this says.",
        ),
    ] = None,
    record: Annotated[
        bool,
        typer.Option("--record", help="For maintainers: replace the recording in the course's data/measurements/."),
    ] = False,
    run: Annotated[
        bool, typer.Option("--run", help="For course: run every lesson first, every training anew.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, and the tables on standard error.")
    ] = False,
) -> int:
    """Measure speed and memory on this machine.

    Each choice is a benchmark of its own, and prints both sides of what it compares.
    """
    from .. import files
    from ..machine import stamp

    if record and (out or what in ("quantize", "course")):
        raise ValueError("--record writes into the course's data/: leave it out with --out, quantize and course.")
    if not (out or record or what in ("quantize", "course")):
        out = place(f"bench-{what}.json")
    if out:
        files.check_file(out)
    if run and what != "course":
        raise ValueError("--run runs the lessons: it belongs to `lora-lessons bench course`.")
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        found = _measure(what, model, out, run)
    fine = found.pop("fine", True)
    if out and out.exists():
        print(f"Written: {shown(out)}", file=sys.stderr)
    if as_json:
        print(json.dumps({"bench": what, **stamp(), **found}, ensure_ascii=False))
    return EXIT_OK if fine else EXIT_FAILED


def _measure(what: str, model: str | None, out: Path | None, run: bool) -> dict[str, Any]:
    from ..experiments import (
        course_speed,
        growth,
        layer_speed,
        ledger,
        never_rounded,
        recordings,
        speed,
        training_speed,
    )

    if what == "memory":
        rows = ledger.measure_all(model, out)
        return {"rows": rows, "fine": any(row["status"] == ledger.OK for row in rows)}
    if what == "encoder":
        return never_rounded.record(out=out)
    if what in ("quantize", "course"):
        found: dict[str, Any] = course_speed.measure(run) if what == "course" else speed.quantize()
        if out:
            recordings.keep(what, found, out)
        return found
    measures: dict[str, Callable[..., dict[str, Any]]] = {
        "train": training_speed.measure,
        "layer": layer_speed.measure,
        "growth": growth.measure,
    }
    return measures[what](out=out)
