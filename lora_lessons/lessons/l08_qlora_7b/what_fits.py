"""What lesson 08 trains here: the base that fits, a run that answers when memory runs out, and recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ... import memory, models, tasks, training
from ...errors import ModelError, first_line
from ...experiments import recordings
from ...experiments.seven_b import STAND_IN
from ...paths import measurements
from ...tools import planning


class Chosen(NamedTuple):
    """A base in NF4, and what it is: real weights or random ones, said plainly."""

    model: Any
    tokenizer: Any  # the embedded base's own where the weights are random
    name: str
    weights: str  # "real" or "random"
    says: str


def choose(model_id: str | Path) -> Chosen:
    """`model_id` in NF4 where there is a card; without a hub its place is taken by random weights of a 7B's shape; on a
    processor, by the embedded base.

    Raises ModelError when a folder that was named cannot be loaded.
    """
    if models.card() is None:
        base = models.load(precision="nf4")
        return Chosen(*base, "real", f"No card here, so these cells train {base.name} in NF4 on the processor.")
    try:
        base = models.load(model_id, "nf4")
        return Chosen(*base, "real", f"{base.name}, its real weights, in NF4 on {models.card()[0]}.")  # type: ignore[index]
    except ModelError as error:
        if Path(model_id).exists():
            raise
        tokenizer = models.load(device="cpu").tokenizer
        says = (
            f"The model could not be had ({first_line(error)}). In its place stands {STAND_IN}'s shape with random weights: its "
            "memory and speed are true, but what it says is noise."
        )
        return Chosen(models.random_base(STAND_IN), tokenizer, STAND_IN, "random", says)


def settings_for(card: bool, steps: int, batch_size: int, seed: int) -> training.Settings:
    """How lesson 08 trains: checkpointing always; on a card AdamW with 8-bit moments in pageable memory."""
    return training.Settings(
        steps=steps or (50 if card else 8),
        batch_size=batch_size,
        learning_rate=2e-4 if card else 4e-3,
        seed=seed,
        gradient_checkpointing=True,
        optimizer="paged_adamw_8bit" if card else "adamw",
    )


def train(
    model: Any, rows: Sequence[tasks.Encoded], settings: training.Settings, shape: Any, job: memory.Job
) -> training.Training:
    """training.train; when memory runs out, the ledger and the next setting to try are the answer.

    Raises TrainingStopped with both, and as training.train does.
    """
    import torch

    try:
        return training.train(model, rows, settings)
    except torch.OutOfMemoryError as error:
        here = models.card()
        card, room = here or ("", planning.card_bytes(8))
        job = planning.on_card(job, card) if card else job
        raise training.TrainingStopped(f"the card's memory ran out. {advice(shape, job, room)}") from error


def advice(shape: Any, job: memory.Job, room: float) -> str:
    """The bill of `job` beside `room` bytes in one line, and what to change first."""
    made = planning.plan(shape, job, room)
    largest = sorted(zip(memory.LINES, made.ledger.bill, strict=True), key=lambda line: -line[1])[:3]
    parts = ", ".join(f"{name} {size / memory.GB:.1f} GB" for name, size in largest)
    if made.fits:  # the plan thought it would: something else holds memory, or the plan is off
        shorter = replace(job, seq=max(1, job.seq // 2))
        return (
            f"Planned: {made.ledger.bill.total / memory.GB:.1f} GB ({parts}), which the card has. So either something else holds "
            f"memory, or the plan is wrong. Close other programs, restart the kernel, and then try seq = {shorter.seq}."
        )
    return f"Planned: {made.ledger.bill.total / memory.GB:.1f} GB ({parts}). {planning.verdict(made, 'The card')}"


def adapter_bytes(trainable: int) -> int:
    """What the adapter's file will take: four bytes a number, as save_adapter writes it (its header aside)."""
    return 4 * trainable


def recorded() -> dict[str, dict[str, Any]]:
    """The recordings of a 7B, by file name: each says its machine, date, versions, and whether its weights were real."""
    files = sorted([*measurements().glob("seven_b_*.json"), *measurements().glob("gpu_check_*.json")])
    return {path.stem: recordings.read(path) for path in files}


def seven_b_facts(run: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    """What lesson 08 keeps of a 7B trained on a processor: name, value and unit of each record."""
    settings = run["settings"]
    job = memory.Job("qlora", r=settings["r"], seq=settings["seq"])
    planned = memory.predict(STAND_IN, job, card=False).bill.total
    return [
        ("numbers", run["base_numbers"] / 1e9, "billion numbers"),
        ("build", run["build_seconds"], "s to build"),
        ("step", run["seconds_a_step"], "s per step"),
        ("peak", run["peak_bytes"] / 1e9, "GB at most, building included"),
        ("first", run["losses"][0], "nats, first step"),
        ("last", run["losses"][-1], "nats, last step"),
        ("planned", planned / 1e9, "GB of tensors planned"),
        ("hours_per_million", 1e6 / run["tokens_a_step"] * run["seconds_a_step"] / 3600, "hours per million tokens"),
    ]


def cards_recorded() -> str:
    """The recordings of a card, one line each, or how to make the first."""
    lines = [
        f"{recording['card']}, {recording['date']}: {recording['training']['tokens_per_second']} tokens per second, "
        f"at most {recording['training']['peak_bytes'] / 2**30:.1f} GiB"
        for name, recording in recorded().items()
        if name.startswith("gpu_check")
    ]
    none = "Not run on a card yet. On a machine that has one, `make gpu-check` makes the recording."
    return "\n".join(lines) or none
