"""One rank and two: the same small training through accelerate, held side by side."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file

from lora_tools import cluster

from ... import training
from ...adapter import ADAPTER_WEIGHTS
from ...course import record

# Without the fast path of lesson 12, which several ranks do not take: so the two sides differ in their ranks alone.
SETTINGS = training.Settings(steps=4, batch_size=4, learning_rate=2e-3, warmup=1, checkpoint_every=0, fast=False)


def train(processes: int, out: Path, seed: int = 0) -> cluster.Outcome:
    """Four steps of the persona task, four conversations each, over `processes` ranks on this machine's processor."""
    return cluster.run(processes, out, settings=replace(SETTINGS, seed=seed))


def losses_apart(one: cluster.Outcome, two: cluster.Outcome) -> float:
    """The largest difference between the losses of a step, relative to the loss."""
    return max(abs(b / a - 1) for a, b in zip(one.losses, two.losses, strict=True))


def updates_apart(one: cluster.Outcome, two: cluster.Outcome) -> float:
    """How far apart the updates ΔW = B·A of all layers are, relative to their size (Frobenius norms).

    Single numbers may differ by more: AdamW moves each by about the learning rate, even where its gradient is next to
    nothing and rounding decides its sign.
    """
    first, second = (load_file(Path(run.adapter) / ADAPTER_WEIGHTS) for run in (one, two))
    if first.keys() != second.keys():
        return float("inf")
    apart = size = 0.0
    for B in (name for name in first if ".lora_B." in name):
        A = B.replace(".lora_B.", ".lora_A.")
        delta, other = (run[B] @ run[A] for run in (first, second))
        apart += float((delta - other).square().sum())
        size += float(delta.square().sum())
    return math.sqrt(apart / size)


def side_by_side(one: cluster.Outcome, two: cluster.Outcome) -> str:
    """Losses step by step, and what each rank held and needed at most, as lines of text."""
    rows = [f"{'step':<22}{'one rank':>12}{'two ranks':>12}"]
    rows += [f"{n:<22}{a:>12.5f}{b:>12.5f}" for n, (a, b) in enumerate(zip(one.losses, two.losses, strict=True), 1)]
    for name, field in (("weights per rank", "held"), ("peak per rank", "peak")):
        sizes = (f"{max(getattr(run, field)) / 1e6:>9,.0f} MB" for run in (one, two))
        rows.append(f"{name:<22}{''.join(sizes)}")
    return "\n".join(rows)


def record_both(one: cluster.Outcome, two: cluster.Outcome) -> None:
    """Whether two ranks learned what one did, and how much of the weights each of them held."""
    record("ranks.same_losses", losses_apart(one, two) < 1e-3, "every loss, one rank and two")
    record("ranks.same_update", updates_apart(one, two) < 1e-2, "every B·A, one rank and two")
    record("ranks.held", max(two.held) / max(one.held), "of the weights on each of two ranks")
