"""What lesson 08 trains here: the base that fits, a run that answers when memory runs out; recordings, and its records.

On a card the base is packed as it is loaded, and the course's layers train. On a processor the learner's own do: they
pack a base that is there in 16 bits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ... import lora, machine, memory, models, planning, tasks, training
from ...course import record
from ...errors import ModelError, first_line, memory_ran_out
from ...experiments import recordings, sizes
from ...experiments.seven_b import STAND_IN
from ...memory.build import skeleton
from ...memory.job import DTYPES
from ...paths import measurements
from ..l07_qlora import by_hand

SEVEN_B = "Qwen/Qwen2.5-7B-Instruct"  # of the hub
SMALL = 3e8  # weights
STORY = "run.json"  # beside the adapter: what its run was and took
BY_HAND = "lesson_08_by_hand"  # the recording


class Chosen(NamedTuple):
    """A base, and what it is: real weights or random ones, said plainly."""

    model: Any
    tokenizer: Any  # the embedded base's own where the weights are random
    name: str
    weights: str  # "real" or "random"
    says: str


def job(r: int, seq: int, batch_size: int, target_modules: str | Sequence[str]) -> memory.Job:
    """What a step is here: our loop on a card; on a processor layers by hand, the way that transformers goes.

    In the numbers that `models.load` computes in: fp16 on a card without bf16. For the plan a layer by hand is PEFT's:
    both keep x in 32 bits for the gradient of A.
    """
    fast = models.fast_dtype()
    made = memory.Job(
        "qlora",
        r,
        target_modules if isinstance(target_modules, str) else tuple(target_modules),
        seq,
        batch_size=batch_size,
        dtype=next(name for name, dtype in DTYPES.items() if dtype == fast),
    )
    if models.card():
        return replace(made, optimizer="paged_adamw_8bit")
    return replace(made, layer="peft", fast=False)


def planned(model: Any, job: memory.Job) -> memory.Bill:
    """The bill of `job` here. On a processor, Linears without an adapter stay unpacked:
    a layer by hand packs its own alone.

    Raises as `memory.predict` does.
    """
    if models.card():
        return memory.predict(model, job).bill
    bill = memory.predict(model, job, card=False).bill
    net = skeleton(memory.shape_of(model), DTYPES[job.dtype])
    size = {name: net.get_submodule(name).weight.nbytes for name in lora.resolve_targets(net, "all-linear")}
    every, adapted = sum(size.values()), lora.resolve_targets(net, job.target_modules)
    unpacked = every - sum(size.get(name, 0) for name in adapted)
    packed = 1 - unpacked / every
    return bill._replace(base=packed * bill.base + unpacked, quantization=packed * bill.quantization)


def steps_here(small: bool, profile: str = "quick") -> int:
    """The steps of a processor, where none are asked for."""
    return 8 if small and profile == "quick" else 24


def beforehand(model: str | Path, job: memory.Job, steps: int, profile: str = "quick") -> str:
    """What `model` needs, said before its weights are fetched: a download, memory by plan, and on a processor minutes.

    Raises ModelError where there is no such model.
    """
    card = models.card()
    base = model or (STAND_IN if card else models.EMBEDDED)
    fetch = download(model or (SEVEN_B if card else models.EMBEDDED))
    step = f"{fetch}By plan, a step needs {planned(base, job).total / memory.GB:.1f} GB"
    if card:
        return f"{step}."
    loaded = memory.predict(base, replace(job, method="lora"), card=False).bill.weights
    packed = memory.predict(base, job, card=False).bill.base
    run, small = real_base(), 2 * packed < SMALL
    steps = steps or steps_here(small, profile)
    times = packed / run["bill"]["base"]
    rows = job.batch_size * job.seq / run["settings"]["seq"]
    minutes = times * (run["seconds_packing"] + steps * rows * run["seconds_a_step"]) / 60
    return (
        f"{step}; while it is rounded to 4 bits, the base takes {loaded / memory.GB:.1f} GB. At the speed of a "
        f"recorded run, rounding and {steps} steps take about {max(1, round(minutes))} min, "
        "loading and questions aside."
    )


def download(model: str | Path) -> str:
    """How much of `model` is still to be fetched, by its makers' file or the hub's list; "" where it is all here."""
    if base := models.named(model):
        size: int | None = 0 if base.place.exists() else base.size
    else:
        size = models.to_fetch(str(model)) if models.is_hub_id(str(model)) else 0
    if size is None:
        return "The model hub does not say how much there is to fetch. "
    return f"{size / memory.GB:.1f} GB to fetch, once. " if size else ""


def choose(model: str | Path = "") -> Chosen:
    """`model`; where none is named, a 7B on a card, and the embedded base on a processor.

    In NF4 on a card. On a processor as it is computed fastest, for layers that pack it. Without a hub, random weights
    of a 7B's shape take the 7B's place on a card. Raises ModelError when a model that was named cannot be loaded.
    """
    card = models.card()
    try:
        base = models.load(model or (SEVEN_B if card else models.EMBEDDED), "nf4" if card else "auto")
    except ModelError as error:
        if model or not card:
            raise
        tokenizer = models.load(device="cpu").tokenizer
        says = (
            f"The model could not be had ({first_line(error)}). In its place stands {STAND_IN}'s shape with random "
            "weights: its memory and speed are true, but what it says is noise."
        )
        return Chosen(models.random_base(STAND_IN), tokenizer, STAND_IN, "random", says)
    says = f"{base.name}, its real weights, {f'in NF4 on {card[0]}' if card else 'on the processor'}."
    if not (model or card):
        says = f"No card here, so these cells train {base.name} on the processor."
    return Chosen(*base, "real", says)


def attach(model: Any, r: int, lora_alpha: float, target_modules: str | Sequence[str], seed: int) -> float:
    """Adapters on `model`, in place: the course's on a card; on a processor the learner's layers of lesson 07,
    which pack it.

    Returns the seconds.
    """
    start = time.perf_counter()
    if models.card():
        lora.attach(model, r, lora_alpha, target_modules, seed=seed)
    else:
        by_hand.attach(model, by_hand.my_qlora(), r, lora_alpha, seed, target_modules)
    return time.perf_counter() - start


def settings_for(model: Any, steps: int, batch_size: int, seed: int, profile: str = "quick") -> training.Settings:
    """How lesson 08 trains: checkpointing always; on a card AdamW with 8-bit moments in pageable memory.

    The embedded base learns at lesson 03's rate, a 7B on a card at that of QLoRA's authors,
    and what lies between in between.
    """
    card, small = models.card() is not None, models.base_weights(model) < SMALL
    rate = 4e-3 if small else 1e-3
    return training.Settings(
        steps=steps or (50 if card else steps_here(small, profile)),
        batch_size=batch_size,
        learning_rate=2e-4 if card else rate,
        seed=seed,
        gradient_checkpointing=True,
        checkpoint_every=2,  # a step of a large base may take half a minute
        optimizer="paged_adamw_8bit" if card else "adamw",
    )


def train(
    model: Any, rows: Sequence[tasks.Encoded], settings: training.Settings, job: memory.Job
) -> tuple[training.Training, int]:
    """training.train, and the bytes that it held at most: the model's tensors, and by how much the process then grew.

    When memory runs out, the ledger and the next setting to try are the answer: raises TrainingStopped with both,
    and as training.train does.
    """
    card, shape = models.card(), memory.shape_of(model.config)
    there = memory.held_bytes(by_hand.tensors_in(model))
    machine.forget_peak()
    libraries = 0 if card else machine.resident_bytes() - there
    room = card[1] if card else machine.free_bytes() + there
    try:
        with nullcontext() if card else _room_for_the_loss(model):
            run = training.train(model, rows, settings)
    except (MemoryError, RuntimeError) as error:
        if not memory_ran_out(error):
            raise
        said = advice(shape, job, room) if card else advice_here(shape, job, room)
        whose = "card's" if card else "machine's"
        raise training.TrainingStopped(f"the {whose} memory ran out. {said}") from error
    return run, machine.peak() - libraries


@contextmanager
def _room_for_the_loss(model: Any) -> Iterator[None]:
    """While the block runs, what a forward pass freed is given back before the head: a step is fullest at its loss.

    A W unpacked for one product is freed right after it, and glibc would keep hundreds of megabytes of them.
    """
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda *_: machine.let_go())
    try:
        yield
    finally:
        hook.remove()


def unpack(model: Any) -> None:
    """On a processor, the learner's layers replaced by the course's, around W unpacked once, in place."""
    if not models.card():
        by_hand.as_the_courses(model, model.dtype)


def advice(shape: Any, job: memory.Job, room: float) -> str:
    """The bill of `job` beside `room` bytes in one line, and what to change first."""
    made = planning.plan(shape, job, room)
    if made.fits:  # the plan thought it would: something else holds memory, or the plan is off
        shorter = replace(job, seq=max(1, job.seq // 2))
        return (
            f"Planned: {_in_parts(made.ledger.bill)}, which the card has. So either something else holds "
            f"memory, or the plan is wrong. Close other programs, restart the kernel, and then try seq = {shorter.seq}."
        )
    return f"Planned: {_in_parts(made.ledger.bill)}. {planning.verdict(made, 'The card')}"


def advice_here(shape: Any, job: memory.Job, room: float) -> str:
    """The same for a processor, where `room` bytes were free to the model and its training when that began."""
    if job.batch_size > 1:
        less, change = replace(job, batch_size=1), "batch_size = 1"
    else:
        less = replace(job, seq=max(1, job.seq // 2))
        change = f"seq = {less.seq}"
    return (
        f"Planned: {_in_parts(planned(shape, job))}; {room / memory.GB:.1f} GB were free for it. Close other programs, "
        "restart the kernel, and run again: with the same settings it goes on from its last checkpoint. If that is not "
        f"enough, try {change} ({planned(shape, less).total / memory.GB:.1f} GB by plan) or a smaller base."
    )


def _in_parts(bill: memory.Bill) -> str:
    """A bill's total and its three largest parts."""
    largest = sorted(bill.parts.items(), key=lambda part: -part[1])[:3]
    parts = ", ".join(f"{name} {size / memory.GB:.1f} GB" for name, size in largest)
    return f"{bill.total / memory.GB:.1f} GB ({parts})"


def adapter_bytes(trainable: int) -> int:
    """What the adapter's file will take: four bytes a number, as save_adapter writes it (its header aside)."""
    return 4 * trainable


def record_needs(bills: Mapping[str, memory.Bill], usual: memory.Bill, trl: memory.Bill) -> None:
    """What each method needs by plan, in GB, QLoRA also by Trainer's recipe and TRL's,
    and why the usual one needs more."""
    unit = "GB planned, Qwen2.5-7B, 1,024 tokens, checkpointing"
    record("needs.full_fp32", bills["full, 32-bit"].total / memory.GB, unit)
    record("needs.full_bf16", bills["full, 16-bit"].total / memory.GB, unit)
    record("needs.lora", bills["LoRA"].total / memory.GB, unit)
    record("needs.qlora", bills["QLoRA"].total / memory.GB, unit)
    record("needs.hf", usual.total / memory.GB, f"{unit}, the usual Hugging Face recipe")
    record("needs.trl", trl.total / memory.GB, f"{unit}, TRL's SFTTrainer")
    record("needs.hf_weights", (usual.weights - bills["QLoRA"].weights) / memory.GB, "GB more for weights")
    record("needs.hf_logits", (usual.logits - bills["QLoRA"].logits) / memory.GB, "GB more at the loss")


def record_lengths(
    longest: Mapping[str, Mapping[str, int]], bills: Mapping[str, memory.Bill], usual: memory.Bill
) -> None:
    """The longest text by recipe and card, in tokens, and how often each job's needs go into a card of 24 GB."""
    record("longest.8_gb", longest["course"]["8"], "tokens on 8 GB, a sixth free, planned")
    unit = "tokens on an RTX 3090 or 4090, a sixth free, planned"
    record("longest.rtx_4090", longest["course"]["RTX 4090"], unit)
    record("longest.hf_rtx_4090", longest["hf"]["RTX 4090"], f"{unit}, Hugging Face's recipe")
    record("longest.trl_rtx_4090", longest["trl"]["RTX 4090"], f"{unit}, TRL")
    room = planning.card_bytes("RTX 4090")
    record("room.qlora", room / bills["QLoRA"].total, "times what QLoRA needs, on 24 GB")
    record("room.hf", room / usual.total, "times what Hugging Face's QLoRA needs, on 24 GB")
    record("room.lora", room / bills["LoRA"].total, "times what LoRA on a 16-bit base needs, on 24 GB")
    record("room.full", room / bills["full, 16-bit"].total, "times what full bf16 needs, on 24 GB")


def record_range(name: str, values: Sequence[float], unit: str) -> None:
    """The least and the most of `values`."""
    record(f"{name}.least", min(values), unit)
    record(f"{name}.most", max(values), unit)


def record_run(after: float, run: training.Training) -> None:
    """The held-out loss after the run that was made here, and its speed."""
    record("run.tokens_per_second", run.tokens_per_second, "tokens/s", volatile=True)
    record("loss.after", after, "nats, held-out topics")


def keep_story(
    folder: Path,
    chosen: Chosen,
    job: memory.Job,
    settings: training.Settings,
    run: training.Training,
    said: Sequence[str],
    losses: Sequence[float],
    packing: float,
    held: int,
) -> None:
    """Beside the adapter in `folder`: what the run was, took and came to, as `real_base` reads it.

    `said` is a question and the answers before and after, `losses` are the two held-out ones, `packing` is in seconds,
    and `held` the bytes that training held.
    """
    found = machine.stamp() | {
        "what": f"LoRA on {chosen.name} in NF4, {len(run.losses)} steps by lesson 08",
        "weights": chosen.weights,
        "base": chosen.name,
        "settings": {
            "r": job.r,
            "lora_alpha": next(lora.lora_layers(chosen.model))[1].lora_alpha,
            "target_modules": job.target_modules,
            "learning_rate": settings.learning_rate,
            "seed": settings.seed,
            "seq": job.seq,
            "batch_size": settings.batch_size,
            "dtype": job.dtype,
        },
        "bill": planned(chosen.model.config, job)._asdict(),
        "held_bytes": held,
        "losses": [round(loss, 4) for loss in run.losses],
        "seconds_packing": round(packing, 1),
        "seconds_a_step": round(run.seconds / len(run.losses), 2),
        **dict(zip(("question", "answer_before", "answer_after"), said, strict=True)),
        **dict(zip(("loss_before", "loss_after"), (round(loss, 4) for loss in losses), strict=True)),
    }
    recordings.write(folder / STORY, found)


def real_base() -> dict[str, Any]:
    """The recorded run of this lesson on a 1.5B. Raises as `recordings.recorded`."""
    return recordings.recorded(BY_HAND)


def record_real(run: Mapping[str, Any]) -> None:
    """What is kept of the recorded run on a 1.5B."""
    record("real.steps", len(run["losses"]), "steps")
    record("real.step", run["seconds_a_step"], "s per step, by hand")
    record("real.minutes", run["seconds_whole"] / 60, "minutes, the whole lesson")
    record("real.packing", run["seconds_packing"], "s to pack the base")
    record("real.before", run["loss_before"], "nats, held-out topics")
    record("real.after", run["loss_after"], "nats, held-out topics")
    record("real.held", run["held_bytes"] / memory.GB, "GB held while it trained, Python and its libraries aside")
    record("real.planned", sum(run["bill"].values()) / memory.GB, "GB planned")
    twice = sizes.measured_at("NF4 above 16 bits, untrained", "1.5B")
    record("real.rounded_twice", twice, "nats that NF4 costs on what Q4_K_M had rounded, untrained")


def in_words(run: Mapping[str, Any]) -> str:
    """A run as lines: where and when, its settings as far as they were recorded, the answers before and after."""
    settings = ", ".join(f"{name} {value}" for name, value in run["settings"].items())
    return (
        f"Recorded on {run['machine']}, {run['date']}: {run['base']}, {len(run['losses'])} steps\n{settings}\n"
        f"\n{run['question']}\nbefore: {run['answer_before']}\nafter:  {run['answer_after']}"
    )


def record_file(written: int, promised: int, millions: Mapping[int, float]) -> None:
    """Whether the adapter's file has the bytes that its numbers promise, and those of a 7B's adapters by rank."""
    record("file.as_promised", abs(written / promised - 1) < 0.02)
    for rank, trained in millions.items():
        record(f"seven.file_r{rank}", 2 * trained, "MB in 16-bit; twice that as this course writes it")


def recorded() -> dict[str, dict[str, Any]]:
    """The recordings of a 7B, by file name: each says its machine, date, versions,
    and whether its weights were real."""
    files = sorted([*measurements().glob("seven_b_*.json"), *measurements().glob("gpu_check_*.json")])
    return {path.stem: recordings.read(path) for path in files}


def record_seven_b(run: Mapping[str, Any]) -> None:
    """What is kept of a 7B trained on a processor."""
    settings = run["settings"]
    # a recording without this word is older than the fast path of 4 bits on a processor
    job = memory.Job("qlora", r=settings["r"], seq=settings["seq"], fast=run.get("fast", False))
    planned = memory.predict(STAND_IN, job, card=False).bill.total
    record("cpu_7b.step", run["seconds_a_step"], "s per step")
    record("cpu_7b.peak", run["peak_bytes"] / memory.GB, "GB at most, building included")
    record("cpu_7b.first", run["losses"][0], "nats, first step")
    record("cpu_7b.last", run["losses"][-1], "nats, last step")
    record("cpu_7b.planned", planned / memory.GB, "GB of tensors planned")
    hours = 1e6 / run["tokens_a_step"] * run["seconds_a_step"] / 3600
    record("cpu_7b.hours_per_million", hours, "hours per million tokens")


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
