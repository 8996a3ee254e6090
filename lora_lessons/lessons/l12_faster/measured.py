"""What lesson 12 measures of a rung: its loss and gradients beside the plain ones, what it keeps, its seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ... import lora
from ...experiments import recordings, training_speed
from ...memory.tape import out_and_kept
from ...tasks import IGNORED, collate
from ...training import no_cache
from .rungs import Batch, Loss

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
        """Measure the rung that `make` builds for a model, and print a line; the first one is what others are held against."""
        measured = step(self.exact, make(self.exact), self.few)
        self.first = self.first or measured
        self.made[name] = loss_of = make(self.timed)
        kept = step(self.timed, loss_of, self.batch).kept  # and what is made once is made now
        taken = seconds(self.timed, loss_of, self.batch)
        self.rungs[name] = Rung(taken, kept, apart(measured, self.first), measured.kept)
        print(self.line(name))

    def in_turn(self, rounds: int) -> None:
        """Time all rungs again, one after the other, `rounds` times; each keeps its fastest pass."""
        for _ in range(rounds):
            for name, loss_of in self.made.items():
                taken = min(self.rungs[name].seconds, seconds(self.timed, loss_of, self.batch))
                self.rungs[name] = self.rungs[name]._replace(seconds=taken)

    def line(self, name: str) -> str:
        one, plain = self.rungs[name], next(iter(self.rungs.values()))
        measured = f"{name:<28}{one.seconds:6.2f} s   keeps {one.kept / 1e6:4.0f} MB"
        if one is plain:
            return measured
        same = "the same loss and gradients" if one.same else f"NOT THE SAME: {one.apart:.1%} apart"
        return f"{measured}   {plain.seconds / one.seconds:.2f} times as fast as plain, {same}"


@torch.no_grad()
def plain_loss(model: Any, rows: Batch) -> float:
    """The loss that the model's own code finds for a batch, packed or not, in nats per supervised token."""
    tensors = {name: t.to(model.device) for name, t in collate(rows, pad_id=0).items()}
    with no_cache(model):
        return float(model(**tensors).loss)


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
    """LoRA's share of full fine-tuning's arithmetic in the adapted layers, and of its weights, gradients and moments."""
    layers: list[Any] = [layer for _, layer in lora.lora_layers(model)]
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    base = sum(p.numel() for p in model.parameters()) - learned
    frozen = sum(layer.base_layer.weight.numel() for layer in layers)
    return (4 * frozen + 6 * learned) / (6 * frozen), (4 * base + 16 * learned) / (16 * base)


MACHINES = (training_speed.RECORDING, training_speed.XEON, training_speed.EPYC)


def machine_of(name: str) -> str:
    """The machine of a recording of `lora-lessons bench train`, and what its matrix products reach."""
    recording = recordings.recorded(name)
    return f"{recording['machine']}, matrix products of {recording['limit_flops'] / 1e9:.0f} GFLOP/s"


def recorded(name: str) -> dict[str, dict[str, Mapping[str, Any]]]:
    """A recording: {task: {side: its medians}}."""
    rows = recordings.recorded(name)["rows"]
    return {task: {row["side"]: row for row in rows if row["task"] == task} for task in training_speed.TASKS}


def times(runs: dict[str, dict[str, Mapping[str, Any]]], task: str = "persona") -> float:
    """How many times sooner than Trainer with PEFT the course's loop was done."""
    return runs[task][training_speed.TRAINER]["seconds"] / runs[task][training_speed.COURSE]["seconds"]
