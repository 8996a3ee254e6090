"""`lora-lessons bench encoder`: rank the ways to round, look at the spectra, train on four bases; keep it all in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import Tensor

from ... import lowrank, models
from .. import recordings
from ..sweep.intervals import paired, summary
from .classify import BASES, train
from .ranking import rank, weights

SEEDS = 8
# One learning rate for all bases: the best of these on the 16-bit base, with seeds that are not used again.
RATES, TUNED_ON = (3e-3, 6e-3), (100, 101)
NAME = "never_rounded"


def recorded() -> dict[str, Any]:
    """What was measured on the encoder. Raises FileNotFoundError when the checkout lacks it."""
    return recordings.recorded(NAME)


def spectra(found: Mapping[str, Tensor]) -> dict[str, float]:
    """The share of full rank that keeps 90% of the energy, mean over the weights; and of normal noise of their shapes."""

    def share(W: Tensor) -> float:
        S = lowrank.svd(W).S
        return lowrank.rank_for_energy(S, 0.9) / len(S)

    noise = {tuple(W.shape): share(lowrank.gaussian_like(W)) for W in found.values()}
    return {
        "share": fmean(share(W) for W in found.values()),
        "noise": fmean(noise[tuple(W.shape)] for W in found.values()),
    }


def best_rate(runs: Sequence[Mapping[str, Any]]) -> float:
    """The learning rate whose runs end with the lowest mean held-out loss."""
    rates = sorted({run["learning_rate"] for run in runs})
    return min(rates, key=lambda r: fmean(run["loss_held_out"] for run in runs if run["learning_rate"] == r))


def record(seeds: Sequence[int] = range(SEEDS), out: Path | None = None) -> dict[str, Any]:
    """Measure everything, print it line by line, and write it to `out` or data/measurements/never_rounded.json."""
    encoder = models.load_encoder()
    kept = weights(encoder)
    found: dict[str, Any] = {
        "what": f"{models.ENCODER_NAME}, {sum(W.numel() for W in kept.values()):,} weights of {len(kept)} matrices in fp32, never rounded",
        "as_bf16": fmean(float((W.bfloat16() == W).float().mean()) for W in kept.values()),
        "ranking": rank(encoder),
        "spectra": spectra(kept),
        "runs": [],
    }
    for name, row in found["ranking"].items():
        moved = summary(row["moved"])
        print(f"{name:<20}{row['bits']:6.3f} bits  error {row['error']:.4f}  1 - cos {moved.mean:.4f}", flush=True)
    shares = found["spectra"]
    print(f"90% of the energy in {shares['share']:.3f} of full rank (noise {shares['noise']:.3f})", flush=True)
    recordings.keep(NAME, found, out)
    if not seeds:
        return found
    found["tuning"] = [train(encoder, kept, "16-bit", seed, learning_rate=r) for r in RATES for seed in TUNED_ON]
    rate = best_rate(found["tuning"])
    print(f"learning rate {rate:g}, the best of {RATES} on 16-bit and two other seeds", flush=True)
    for seed in seeds:
        found["runs"] += [train(encoder, kept, base, seed, learning_rate=rate) for base in BASES]
        print(f"seed {seed}:", *(f"{run['loss_held_out']:.3f}" for run in found["runs"][-len(BASES) :]), flush=True)
        recordings.keep(NAME, found, out)
    on = {base: [run for run in found["runs"] if run["base"] == base] for base in BASES}
    for base in list(BASES)[1:] if len(seeds) > 1 else ():
        cost = paired(on[base], on["16-bit"])
        print(f"{base:<12} above 16-bit by {cost.mean:.3f} nats ({cost.low:.3f} to {cost.high:.3f})")
    return found
