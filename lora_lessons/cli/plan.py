"""`lora-lessons plan`: what training a model takes, before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import disk_cache
from ..paths import measurements
from .exits import EXIT_OK
from .places import place_or_name
from .words import names

MODEL = (
    "Llama-2-7B, Mistral-7B, Qwen2.5-7B, Llama-2-70B, Llama-3-70B, embedded, a folder with config.json, or a hub id."
)
RECIPE = "course, or hf: what PEFT, Trainer and most guides do, which takes more."
LOSS = "whole, shifted (transformers before 4.49) or chunked (torchtune)."
OPTIMIZER = "adamw, adamw_fused, adamw_8bit, paged_adamw or paged_adamw_8bit."


def plan(
    model: Annotated[str, typer.Argument(parser=place_or_name, metavar="MODEL", help=MODEL)],
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
    recipe: Annotated[str, typer.Option(metavar="R", help=RECIPE)] = "course",
    loss: Annotated[str, typer.Option(metavar="L", help=LOSS)] = "whole",
    cards: Annotated[
        str | None, typer.Option(metavar="NxCARD", help="Several cards that share the model by FSDP, such as 2x24.")
    ] = None,
    offload: Annotated[
        bool, typer.Option("--offload", help="With --cards: what a card does not use waits in the computer's memory.")
    ] = False,
    nodes: Annotated[int, typer.Option(metavar="N", help="With --cards: computers that they are spread over.")] = 1,
    fsdp: Annotated[int, typer.Option(metavar="V", help="With --cards: FSDP's version, 2 or 1.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> int:
    """Say how much memory training takes, and if it fits.

    Predicts one training step line by line, from the model's configuration alone: no weights are loaded.
    """
    arguments = locals()
    where = Path(model).expanduser() / "config.json"
    if (gpu is None and cards is None) or ("/" in model and not where.is_file()):
        print(_answer(**arguments)["answer"])  # whose card is here, or what a hub says today, is asked anew
    else:
        measured = sorted(file.name for file in measurements().glob("ledger_*.json"))  # the answer says so
        key = [arguments, measured, where.read_bytes().hex() if where.is_file() else ""]
        print(disk_cache.once("plan", key, ["answer"], lambda: _answer(**arguments))["answer"])
    return EXIT_OK


def _answer(
    model: str,
    gpu: str | None,
    method: str,
    r: int,
    targets: str,
    cards: str | None,
    offload: bool,
    nodes: int,
    fsdp: int,
    as_json: bool,
    **settings: Any,
) -> dict[str, str]:
    """The plan in words, or as JSON. The libraries are imported only here: an answer that is known waits for none."""
    from .. import memory, models

    job = memory.Job(method, r, targets if targets == "all-linear" else tuple(names(targets)), **settings)
    if cards is not None:
        if gpu is not None:
            raise ValueError("--gpu plans one card and --cards several: give one of the two.")
        return _for_several(model, job, memory.cluster_of(cards, offload, nodes, fsdp), as_json)
    if offload or nodes != 1:
        raise ValueError(
            "--offload and --nodes belong to a plan for several cards: name them with --cards, such as 2x24."
        )
    card, room = memory.find_card(gpu) if gpu is not None else models.card() or ("", float("inf"))
    shape = memory.shape_of(model)
    made = memory.plan(shape, job, room) if card else None
    ledger = made.ledger if made else memory.predict(shape, job)
    if as_json:
        said = memory.as_json(shape, job, ledger, made, card)
        return {"answer": json.dumps(said, indent=1, ensure_ascii=False)}
    if made:
        says = memory.verdict(made, card)
    else:
        fits = [name for name in memory.CARDS if ledger.bill.total <= memory.card_bytes(name)]
        known = ", ".join(fits) or "none of the cards known here"
        says = f"This machine has no card. It would fit on: {known}. Name a card with --gpu. {memory.validated()}"
    table = memory.bill_table(ledger)
    return {"answer": "\n".join([f"{shape.name}: {memory.describe(job)}", table, says, memory.ASSUMED])}


def _for_several(model: str, job: Any, cluster: Any, as_json: bool) -> dict[str, str]:
    """The plan for several cards, in words or as JSON."""
    from .. import memory

    shape = memory.shape_of(model)
    made = memory.shard(shape, job, cluster)
    if as_json:
        return {"answer": json.dumps(memory.sharded_as_json(shape, job, made), indent=1, ensure_ascii=False)}
    said = f"{shape.name}: {memory.describe(job)} on each card"
    return {"answer": "\n".join([said, memory.sharded_table(made), memory.sharded_verdict(made)])}
