"""`lora-lessons plan`: what training a model takes, before anything is trained."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from .exits import EXIT_OK
from .words import names

MODEL = "Llama-2-7B, Mistral-7B, Qwen2.5-7B, embedded, a folder with config.json, or a hub id."
OPTIMIZER = "adamw, adamw_fused, adamw_8bit, paged_adamw or paged_adamw_8bit."


def plan(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)],
    gpu: Annotated[
        str | None, typer.Option(metavar="CARD", help='A card such as "RTX 4090", or its GB; without it, the one here.')
    ] = None,
    method: Annotated[str, typer.Option(metavar="M", help="qlora, lora, full or full fp32.")] = "qlora",
    r: Annotated[int, typer.Option(metavar="R", help="Rank.")] = 16,
    targets: Annotated[
        str, typer.Option(metavar="NAMES", help="all-linear, or names such as q_proj,v_proj.")
    ] = "all-linear",
    seq: Annotated[int, typer.Option(metavar="N", help="Tokens per sequence.")] = 1024,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Sequences per step.")] = 1,
    gradient_checkpointing: Annotated[
        bool,
        typer.Option(
            "--gradient-checkpointing/--no-gradient-checkpointing", help="Compute each block again on the way back."
        ),
    ] = True,
    optimizer: Annotated[str, typer.Option(metavar="O", help=OPTIMIZER)] = "adamw",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> int:
    """Say what training takes, and whether it fits.

    Predicts a training step's memory, line by line, from the model's configuration alone.
    """
    from .. import memory, models

    job = memory.Job(
        method,
        r,
        targets if targets == "all-linear" else tuple(names(targets)),
        seq,
        batch_size=batch_size,
        gradient_checkpointing=gradient_checkpointing,
        optimizer=optimizer,
    )
    card, room = memory.find_card(gpu) if gpu is not None else models.card() or ("", float("inf"))
    shape = memory.shape_of(model)
    made = memory.plan(shape, job, room) if card else None
    ledger = made.ledger if made else memory.predict(shape, job)
    if as_json:
        print(json.dumps(memory.as_json(shape, job, ledger, made, card), indent=1, ensure_ascii=False))
        return EXIT_OK
    if made:
        says = memory.verdict(made, card)
    else:
        fits = [name for name in memory.CARDS if ledger.bill.total <= memory.card_bytes(name)]
        known = ", ".join(fits) or "none of the cards known here"
        says = f"No card here. It would fit on: {known}. Name one with --gpu."
    print(f"{shape.name}: {memory.describe(job)}", memory.bill_table(ledger), says, memory.ASSUMED, sep="\n")
    return EXIT_OK
