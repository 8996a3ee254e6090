"""What lesson 03 measures, and what it records: one model three times, and what is left of an update that is cut.

For its side trip: how much of one update's strongest directions lies among another's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ... import evaluation, lora, lowrank, memory, models, tasks, training
from ...adapter import ADAPTER_WEIGHTS, Adapter
from ...course import record, show
from ...tasks import scores
from . import pictures

ASKED = 8  # held-out questions whose answers are judged by the rules, and as many everyday ones
LONGEST = 60  # tokens of an answer
READ = 1500  # characters of the general text


class Measured(NamedTuple):
    """A model as it stands: its score, its answer to the question, and its answers to everyday questions."""

    score: evaluation.Score
    answer: str
    everyday: dict[str, str]


def measure(
    base: models.Base, task: tasks.Task, held_out: Sequence[tasks.Encoded], question: str, autocast: bool = False
) -> Measured:
    """Score `base` as it is now, adapters included: every question goes through the model in one batch."""
    drawn, everyday = evaluation.drawn(task, ASKED), tasks.everyday_questions()[:ASKED]
    prompts = [question, *(example["messages"][-2]["content"] for example in drawn), *everyday]
    answer, *replies = models.answers(base, prompts, LONGEST, batch_size=len(prompts))
    kept = [not scores.faults(task.name, one, example) for one, example in zip(replies, drawn, strict=False)]
    unasked = dict(zip(everyday, replies[len(drawn) :], strict=True))
    drift = [scores.looks_like(task.name, one) for one in unasked.values()]
    score = evaluation.Score(
        loss=evaluation.held_out_loss(base.model, held_out, autocast=autocast),
        kept=sum(kept) / len(kept),
        general=evaluation.perplexity(base, tasks.general_text()[:READ]),
        drift=sum(drift) / len(drift),
    )
    return Measured(score, answer, unasked)


Changes = Mapping[str, Tensor]  # a matrix for each layer, by its full name


def changes(after: Any, before: Any) -> dict[str, Tensor]:
    """ΔW = W after − W before of every Linear but the output head; both are models of one shape."""
    names = lora.resolve_targets(before, "all-linear")
    weights = ((name, after.get_submodule(name).weight, before.get_submodule(name).weight) for name in names)
    return {name: (new - old).detach() for name, new, old in weights}


def energy(change: Changes) -> float:
    """The sum of all squared entries."""
    return sum(float(one.square().sum()) for one in change.values())


@torch.no_grad()
def loss_with(base: models.Base, change: Changes, held_out: Sequence[tasks.Encoded], autocast: bool = False) -> float:
    """The held-out loss of `base` while every W is W + its change; afterwards W is what it was, bit for bit."""
    weights = {name: base.model.get_submodule(name).weight for name in change}
    before = {name: weight.clone() for name, weight in weights.items()}
    try:
        for name, weight in weights.items():
            weight += change[name]
        return evaluation.held_out_loss(base.model, held_out, autocast=autocast)
    finally:
        for name, weight in weights.items():
            weight.copy_(before[name])


@torch.no_grad()
def losses_of_cut_weights(
    base: models.Base, ranks: Sequence[int], held_out: Sequence[tasks.Encoded], autocast: bool = False
) -> dict[int, float]:
    """The held-out loss when every W itself is cut to rank r, for each r; one SVD of each W serves all."""
    named = {name: base.model.get_submodule(name).weight for name in lora.resolve_targets(base.model, "all-linear")}
    parts = {
        name: lowrank.factors(lowrank.svd(weight), max(ranks))
        for name, weight in tqdm(named.items(), desc="SVD of every W", leave=False)
    }
    cut = {}
    for r in ranks:
        lost = {name: B[:, :r] @ A[:r] - named[name] for name, (B, A) in parts.items()}
        cut[r] = loss_with(base, lost, held_out, autocast)
    return cut


def flops_of_both(model: Any, example: tasks.Encoded) -> tuple[int, int]:
    """Floating-point operations of one training step on `example`: of full fine-tuning, of LoRA at rank 8."""
    with torch.device("meta"):
        shapes = type(model)(model.config)
    ids = example.input_ids[None]
    one = {"input_ids": ids, "labels": ids}
    in_full = training.step_flops(shapes, one)
    lora.attach(shapes, r=8, lora_alpha=16)
    return in_full, training.step_flops(shapes, one)


# ---- what is recorded ----


def record_base(train_set: Sequence[Any], held_out: Sequence[Any], before: Measured) -> None:
    """How much data there is, and how the base stands."""
    record("data.train", len(train_set), "examples")
    record("data.held_out", len(held_out), "examples")
    record("loss.base", before.score.loss, "nats")
    record("choices.base", round(math.exp(before.score.loss), -1), "tokens")


def record_lora(after: Measured, unchanged: bool, folder: Path) -> None:
    """What LoRA reached, and left alone, and how large its file is."""
    record("loss.lora", after.score.loss, "nats")
    record("base.unchanged", unchanged)
    record("adapter.mb", (folder / ADAPTER_WEIGHTS).stat().st_size / 1e6, "MB")


def learned(before: Measured, loss: float, best: float) -> float:
    """The share of the way from the base's loss to `best` that a model with this loss has come."""
    worst = before.score.loss
    return (worst - loss) / (worst - best)


def record_full(before: Measured, after: Measured, full: Measured) -> float:
    """The three held-out losses in a picture; returns LoRA's share of full fine-tuning's improvement, in percent."""
    losses = {"base": before.score.loss, "LoRA": after.score.loss, "full fine-tuning": full.score.loss}
    share = 100 * learned(before, losses["LoRA"], losses["full fine-tuning"])
    record("loss.full", full.score.loss, "nats")
    record("share.improvement", share, "%")
    said = ", ".join(f"{name} {loss:.2f}" for name, loss in losses.items())
    show(pictures.held_out(losses), f"held-out loss in nats: {said}.")
    return share


SEEN = "model.layers.15.mlp.down_proj"  # the matrix whose directions are drawn
BLOCK = ".15."  # the block whose directions are counted


def rank90(matrix: Tensor) -> float:
    """The share of its directions that holds 90% of a matrix's energy."""
    S = lowrank.svd(matrix).S
    return lowrank.rank_for_energy(S, 0.9) / len(S)


def record_spectrum(change: Changes, seed: int) -> None:
    """How many directions hold 90% of the energy of full fine-tuning's change, in one block, and of noise's."""
    block = {name: one for name, one in change.items() if BLOCK in name}
    noise = {name: lowrank.gaussian_like(one, seed) for name, one in block.items()}
    record("change.matrices", len(change), "matrices")
    record("change.rank90", median(map(rank90, block.values())))
    record("change.rank90_noise", median(map(rank90, noise.values())))


def energies(change: Changes, adapter: Adapter, seed: int) -> dict[str, list[float]]:
    """The share of the energy that each rank keeps, of one matrix: LoRA's change of it, full fine-tuning's,
    and noise."""
    full = change[SEEN]
    three = {
        f"LoRA's change, rank {adapter.r}": adapter.delta(SEEN),
        "full fine-tuning's change": full,
        "noise": lowrank.gaussian_like(full, seed),
    }
    return {name: lowrank.energy(lowrank.svd(one).S).tolist() for name, one in three.items()}


Piece = tuple[float, float]  # a part of a change: its share of the energy, and the held-out loss with it alone


def record_hinge(
    cut: Mapping[int, Piece],
    whole: float,
    trained: Mapping[int, float],
    W_cut: Mapping[int, float],
    before: Measured,
    curves: Mapping[str, Sequence[float]],
) -> float:
    """What is left of what was learned when full fine-tuning's change is cut; returns it for rank 8, in percent.

    By rank: the `cut` change, and the losses of LoRA `trained` at that rank and of a cut W. `whole` is the loss with
    the uncut change, `before` the base, `curves` what `energies` returned.
    """
    left = {r: 100 * learned(before, loss, whole) for r, (_, loss) in cut.items()}
    record("whole.loss", whole, "nats")
    for r, (energy, loss) in cut.items():
        record(f"change.energy_{r}", energy)
        record(f"change.loss_{r}", loss, "nats")
        record(f"change.left_{r}", left[r], "%")
        record(f"trained.loss_{r}", trained[r], "nats")
        record(f"weights.loss_{r}", W_cut[r], "nats")
    losses = {r: loss for r, (_, loss) in cut.items()}
    at_8 = ", ".join(f"{name} {curve[7]:.0%}" for name, curve in curves.items())
    rows = "; ".join(f"rank {r}: {losses[r]:.2f} cut, {trained[r]:.2f} trained, {W_cut[r]:.1f} with W cut" for r in cut)
    show(
        pictures.hinge(curves, losses, trained, W_cut, {"the base": before.score.loss, "the whole change": whole}),
        "by energy, eight directions hold less than half of full fine-tuning's change; by its effect, they are nearly "
        "all of it. LoRA, trained at a rank, lies below the cut; W, cut in the same way, is off the scale. (The change "
        "is that of the 210 matrices, without embeddings and norms, "
        "so the whole change is a little less than full fine-tuning.)",
        f"The energy that eight directions hold in block 15's down_proj: {at_8}. The held-out loss in nats, beside "
        f"{before.score.loss:.2f} for the base and {whole:.2f} with the whole change: {rows}.",
    )
    return left[8]


def record_pieces(pieces: Mapping[str, Piece], whole: float, before: Measured) -> None:
    """Parts of full fine-tuning's change, by name: the energy of each, and its share of what was learned."""
    for name, (energy, loss) in pieces.items():
        record(f"piece.{name}_energy", energy)
        record(f"piece.{name}_learned", learned(before, loss, whole))


def record_drift(*three: Measured) -> None:
    """How often each answers in WICK's form unasked, and how well it reads plain text; base, LoRA and full in turn."""
    for name, seen in zip(("base", "lora", "full"), three, strict=True):
        record(f"drift.{name}", seen.score.drift)
        record(f"general.{name}", seen.score.general)


def record_cost(held: Mapping[str, Sequence[float]], flops: tuple[int, int], trainable: tuple[int, int]) -> None:
    """Memory, arithmetic and numbers that train: LoRA's as a share of full fine-tuning's, which comes first in each."""
    in_full, by_lora = (sum(parts) / 1e6 for parts in held.values())
    show(
        pictures.bills(["weights", "gradients", "AdamW's moments"], held),
        (
            f"full fine-tuning holds {in_full:,.0f} MB, LoRA {by_lora:,.0f} MB, "
            "and nearly all of LoRA's share is the frozen weights."
        ),
    )
    record("memory.ratio", by_lora / in_full)
    record("compute.ratio", flops[1] / flops[0])
    record("trainable.ratio", trainable[1] / trainable[0])


def record_seconds(in_full: float, by_lora: float) -> None:
    """What the two trainings took on this machine."""
    record("seconds.lora", by_lora, "s", volatile=True)
    record("seconds.full", in_full, "s", volatile=True)


def record_copies() -> None:
    """Gigabytes of a full 16-bit copy of three 7B shapes, and of a rank-8 adapter of Llama-2-7B."""
    for name in models.SHAPES:
        model = models.shape(name)
        copy = 2 * sum(p.numel() for p in model.parameters()) / memory.GB
        record(f"copy_gb.{name.split('-')[0].lower()}", copy, "GB")
    model = models.shape("Llama-2-7B")
    lora.attach(model, r=8, lora_alpha=16)
    record("copy_gb.adapter", 2 * lora.trainable_parameters(model) / memory.GB, "GB")


def record_agreement(yours: Sequence[float], theirs: Sequence[float]) -> None:
    """Whether two loops had the same losses, up to rounding."""
    record("trainer.agrees", max(abs(a - b) for a, b in zip(yours, theirs, strict=True)) < 0.03)


# ---- the side trip ----

TOP = 8  # directions of the other update that are looked among

Parts = Mapping[str, lowrank.SVD]  # of one update's ΔW, by layer


def cut(changes: Mapping[str, Tensor]) -> dict[str, lowrank.SVD]:
    """The directions of each ΔW, strongest first."""
    return {name: lowrank.svd(change.cpu()) for name, change in changes.items()}


def overlap(mine: Parts, other: Parts, side: str) -> list[float]:
    """Mean φ over layers of my top i directions with the other's top 8, for i = 1 … 8.

    `side` is "written", the directions of ΔW's output (B's side), or "read", those of its input (A's side).
    """

    def rows(parts: lowrank.SVD) -> Tensor:
        return parts.U.T if side == "written" else parts.Vh

    pairs = [(rows(mine[name]), rows(other[name])) for name in mine]
    return [
        sum(lowrank.subspace_overlap(a[:i], b[:TOP], i, TOP) for a, b in pairs) / len(pairs) for i in range(1, TOP + 1)
    ]
