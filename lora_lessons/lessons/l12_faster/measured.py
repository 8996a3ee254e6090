"""What lesson 12 measures of a rung: its loss and gradients beside the plain ones, what it keeps, its seconds.

And what it records, and what it reads from the recordings of `lora-lessons bench train`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ... import lora
from ...course import record, show
from ...experiments import recordings, training_speed
from ...memory.tape import out_and_kept
from ...tasks import IGNORED
from . import pictures
from .rungs import Batch, Loss, where_time_goes

# Two orders of the same sums in fp32 end this near to each other, or nearer.
ROUNDING = 1e-3


def adapt(model: Any, seed: int = 0) -> None:
    """Adapters of rank 8 on every linear layer, their B no longer zero: so every gradient has something to say."""
    lora.attach(model, r=training_speed.R, lora_alpha=training_speed.ALPHA, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for _, layer in lora.lora_layers(model):
        with torch.no_grad():
            layer.lora_B.copy_(0.01 * torch.randn(layer.lora_B.shape, generator=generator))


class Outcome(NamedTuple):
    """One forward and backward pass."""

    loss: float  # nats per supervised token
    gradients: dict[str, Tensor]
    kept: int  # bytes that the forward pass keeps for the backward pass


def step(model: Any, loss_of: Loss, batch: Batch) -> Outcome:
    """What a rung computes for one batch, and what it keeps meanwhile."""
    model.zero_grad(set_to_none=True)
    loss, kept = out_and_kept(loss_of, list(batch), model)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return Outcome(loss.item(), gradients, kept)


def apart(one: Outcome, other: Outcome) -> float:
    """The largest relative difference between two steps: of their losses, or of the gradients of any one matrix."""
    if one.gradients.keys() != other.gradients.keys():
        return float("inf")
    pairs = ((g, other.gradients[name]) for name, g in one.gradients.items())
    return max(abs(one.loss / other.loss - 1), *(float((g - o).norm() / o.norm()) for g, o in pairs))


def seconds(model: Any, loss_of: Loss, batch: Batch) -> float:
    """What one forward and backward pass takes."""
    start = time.perf_counter()
    loss_of(batch).backward()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    taken = time.perf_counter() - start
    model.zero_grad(set_to_none=True)
    return taken


class Rung(NamedTuple):
    """What was measured of one rung."""

    seconds: float  # the fastest step of the whole batch
    kept: int  # bytes for the way back, of the same step
    apart: float  # in fp32, from the first rung
    kept_in_fp32: int  # bytes, of the smaller step that was compared

    @property
    def same(self) -> bool:
        return self.apart < ROUNDING


class Ladder:
    """Rung after rung: computed in fp32 on a few conversations and compared, then timed as one would train here."""

    def __init__(self, exact: Any, timed: Any, batch: Batch, compared: int = 2) -> None:
        self.exact, self.timed, self.batch = exact, timed, batch
        self.few = list(batch)[:compared]
        self.rungs: dict[str, Rung] = {}
        self.made: dict[str, Loss] = {}
        self.first: Outcome | None = None
        for model in {id(m): m for m in (exact, timed)}.values():
            model.train()

    def rung(self, name: str, make: Callable[[Any], Loss]) -> None:
        """Measure the rung that `make` builds for a model, and print a line;
        the first one is what others are held against."""
        measured = step(self.exact, make(self.exact), self.few)
        self.first = self.first or measured
        self.made[name] = loss_of = make(self.timed)
        kept = step(self.timed, loss_of, self.batch).kept  # and what is made once is made now
        # beside each other, so that a busy minute hits both
        beside, taken = (seconds(self.timed, one, self.batch) for one in (next(iter(self.made.values())), loss_of))
        self.rungs[name] = Rung(taken, kept, apart(measured, self.first), measured.kept)
        print(self.line(name, beside / taken))

    def in_turn(self, rounds: int) -> None:
        """Time all rungs again, one after the other, `rounds` times; each keeps its fastest pass."""
        for _ in range(rounds):
            for name, loss_of in self.made.items():
                taken = min(self.rungs[name].seconds, seconds(self.timed, loss_of, self.batch))
                self.rungs[name] = self.rungs[name]._replace(seconds=taken)

    def parts(self) -> dict[str, dict[str, float]]:
        """The seconds of each rung by kind of work: the shares of a profiled pass, the length of the fastest one."""
        found = {
            name: where_time_goes(partial(loss_of, self.batch), self.rungs[name].seconds)
            for name, loss_of in self.made.items()
        }
        self.timed.zero_grad(set_to_none=True)
        return found

    def line(self, name: str, faster: float) -> str:
        one = self.rungs[name]
        measured = f"{name:<26}keeps {one.kept / 1e6:4.0f} MB"
        if len(self.rungs) == 1:
            return measured
        same = "the same loss and gradients" if one.same else f"NOT THE SAME: {one.apart:.1%} apart"
        return f"{measured}   {faster:.1f} times as fast, {same}"


@torch.no_grad()
def loss(model: Any, row: Mapping[str, Tensor]) -> float:
    """The loss that the model's own code finds for a padded batch or a packed row, in nats per supervised token."""
    return float(model(**{name: t.to(model.device) for name, t in row.items()}, use_cache=False).loss)


class Places(NamedTuple):
    """What stands on the places of a padded batch; the `taught` tokens are among those that are needed."""

    padding: int
    repeated: int  # the shared beginning, in all conversations but one
    needed: int
    taught: int

    @property
    def all(self) -> int:
        return self.padding + self.repeated + self.needed


def places(batch: Batch, shared: int) -> Places:
    """Count the places of `batch`, of which the first `shared` tokens are the same in every conversation."""
    lengths = [len(one.input_ids) for one in batch]
    repeated = shared * (len(lengths) - 1)
    taught = sum(int((one.labels != IGNORED).sum()) for one in batch)
    return Places(len(lengths) * max(lengths) - sum(lengths), repeated, sum(lengths) - repeated, taught)


def against_full(model: Any) -> tuple[float, float]:
    """LoRA's share of full fine-tuning's arithmetic in the adapted layers, and of its weights,
    gradients and moments."""
    layers: list[Any] = [layer for _, layer in lora.lora_layers(model)]
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    base = sum(p.numel() for p in model.parameters()) - learned
    frozen = sum(layer.base_layer.weight.numel() for layer in layers)
    return (4 * frozen + 6 * learned) / (6 * frozen), (4 * base + 16 * learned) / (16 * base)


# ---- what is recorded ----


def record_batch(model: Any, count: Places) -> None:
    """What LoRA needs of full fine-tuning's work, and what stands on the places of the batch."""
    arithmetic, memory = against_full(model)
    record("full.arithmetic", arithmetic, "of full fine-tuning's, in the adapted layers")
    record("full.memory", memory, "of full fine-tuning's weights, gradients and moments, in fp32")
    for name in ("all", "needed", "taught"):
        record(f"places.{name}", getattr(count, name), "places of the batch")


def record_leak(right: float, hers: float, flat: float) -> None:
    """The loss of the same conversations: each alone, packed by the colleague, and by transformers' collator."""
    record("leak.right", right, "nats per taught token")
    record("leak.hers", hers, "nats per taught token, packed by the colleague")
    record("library.same", abs(flat / right - 1) < ROUNDING, "loss, flat and padded")


def record_same(rungs: Mapping[str, Rung]) -> None:
    """Whether all rungs computed the same, and how much less the last one kept meanwhile."""
    first, *_, last = rungs.values()
    record("rungs.same", all(rung.same for rung in rungs.values()), "loss and gradients, in fp32")
    record("kept.less", 1 - last.kept_in_fp32 / first.kept_in_fp32, "less on the last rung, two chats in fp32")


def record_times(rungs: Mapping[str, Rung], floor: float) -> float:
    """How far the first and the last rung are from the floor; returns how many times as fast the last one is."""
    first, *_, last = rungs.values()
    record("floor.before", first.seconds / floor, "times the floor, Trainer's step with PEFT", volatile=True)
    record("floor.after", last.seconds / floor, "times the floor, the last rung", volatile=True)
    record("rungs.faster", first.seconds / last.seconds, "times as fast", volatile=True)
    return first.seconds / last.seconds


# Where `lora-lessons bench train` was recorded: what the records call the machine, and its recording.
MACHINES = {"bench.persona": training_speed.RECORDING, "xeon": training_speed.XEON, "epyc": training_speed.EPYC}
Sides = Mapping[str, Mapping[str, Any]]


def recorded(name: str, task: str = "persona") -> Sides:
    """One task of a recording, {side: its medians}."""
    return {row["side"]: row for row in recordings.recorded(name)["rows"] if row["task"] == task}


def times(sides: Sides, side: str = training_speed.COURSE) -> float:
    """How many times sooner than Trainer with PEFT another side was done."""
    return float(sides[training_speed.TRAINER]["seconds"] / sides[side]["seconds"])


def record_bench() -> None:
    """The recorded runs of the persona task on three machines, and their picture."""
    runs = {machine: recorded(name) for machine, name in MACHINES.items()}
    ours = runs["bench.persona"]
    theirs, mine = ours[training_speed.TRAINER], ours[training_speed.COURSE]
    record("bench.trainer_seconds", theirs["seconds"], "s, Trainer with PEFT")
    record("bench.course_seconds", mine["seconds"], "s, this course")
    record("bench.trainer_share", theirs["share_of_limit"], "of the machine's best, Trainer with PEFT")
    record("bench.course_share", mine["share_of_limit"], "of the machine's best, this course")
    record("bench.persona.apart", abs(mine["loss"] / theirs["loss"] - 1), "between the held-out losses")
    record("bench.persona.alone", times(ours, training_speed.ALONE), "times sooner, nothing shared")
    for machine, sides in runs.items():
        record(f"{machine}.times", times(sides), "times sooner")
    show(*pictures.sooner({machine_of(name): runs[machine] for machine, name in MACHINES.items()}))


def machine_of(name: str) -> str:
    """The processor of a recording, and what its matrix products reach at best."""
    made = recordings.recorded(name)
    processor = made["machine"].partition(",")[0].replace("(R)", "").removesuffix(" Processor")
    return f"{processor}, {made['limit_flops'] / 1e9:,.0f} billion operations/s"
