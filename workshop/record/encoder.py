"""The control of lessons 01, 06 and 07, measured on a base that nobody rounded before us.

`python -m workshop record encoder` ranks the ways to round, looks at the spectra, trains on four bases, and writes
data/measurements/never_rounded.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lora_lessons import lora, models, tasks
from lora_lessons.experiments import recordings
from lora_lessons.experiments.never_rounded import NAME, WAYS, Way, rank, rounded, spectra, weights
from lora_lessons.experiments.sweep.table import paired, summary
from lora_lessons.models import Encoder

SIXTEEN = Way(lambda W: W.bfloat16().to(W.dtype), 16)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", None)
BASES = {"16-bit": SIXTEEN, "nf4+double": WAYS["NF4 + double"], "fp4": WAYS["FP4"], "int4": WAYS["int4"]}
HELD_OUT_TOPICS, STEPS, BATCH, RANK = 8, 80, 8, 8
HEAD_FASTER = 10  # a new head starts from nothing, and learns at ten times the adapters' rate


class Order(NamedTuple):
    """An order, what it is about, and which of DAYS it names."""

    topic: str
    text: str
    day: int


def messages() -> list[Order]:
    """The 280 orders of data/strict_json, each without the line of instruction that all share."""
    task = tasks.load_task("strict_json")
    orders = []
    for example in [*task.train, *task.held_out]:
        asked, answered = (message["content"] for message in example["messages"])
        text = asked.split("\n", 1)[1]
        orders.append(Order(example["topic"], text, DAYS.index(json.loads(answered)["day"])))
    return orders


def split(found: list[Order], seed: int) -> tuple[list[Order], list[Order]]:
    """Training and held-out messages: HELD_OUT_TOPICS whole topics, drawn by the seed, are held out."""
    topics = sorted({one.topic for one in found})
    drawn = torch.randperm(len(topics), generator=torch.Generator().manual_seed(seed))[:HELD_OUT_TOPICS]
    held = {topics[i] for i in drawn.tolist()}
    return [one for one in found if one.topic not in held], [one for one in found if one.topic in held]


def train(
    encoder: Encoder,
    weights: dict[str, Tensor],
    base: str = "16-bit",
    seed: int = 0,
    steps: int = STEPS,
    learning_rate: float = 4e-3,
) -> dict[str, Any]:
    """Train a head, and LoRA beside every Linear of the blocks, on one base; return held-out loss (nats) and accuracy.

    Only the weights of the base differ: every product is computed in fp32.
    """
    learn, held_out = split(messages(), seed)
    generator = torch.Generator().manual_seed(seed)
    order = torch.cat([torch.randperm(len(learn), generator=generator) for _ in range(1 + steps * BATCH // len(learn))])
    with rounded(encoder.model, weights, BASES[base]):
        try:
            lora.attach(encoder.model, RANK, 2 * RANK, list(weights), seed=seed)
            head = _head(encoder, seed)
            adapters = [p for p in encoder.model.parameters() if p.requires_grad]
            fast: dict[str, Any] = {"params": list(head.parameters()), "lr": HEAD_FASTER * learning_rate}
            groups = [fast, {"params": adapters}]
            optimizer = torch.optim.AdamW(groups, lr=learning_rate, weight_decay=0.0, foreach=False)
            rate = torch.optim.lr_scheduler.LambdaLR(
                optimizer, lambda step: min(1, (step + 1) / 5) * (1 - step / steps)
            )
            losses = []
            for step in range(steps):
                batch = [learn[i] for i in order[step * BATCH : (step + 1) * BATCH].tolist()]
                loss = cross_entropy(head(encoder.embed([one.text for one in batch])), _days(batch))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                rate.step()
                losses.append(round(loss.item(), 4))
            with torch.no_grad():
                scores = torch.cat(
                    [
                        head(encoder.embed([one.text for one in held_out[i : i + 20]]))
                        for i in range(0, len(held_out), 20)
                    ]
                )
        finally:
            lora.detach(encoder.model)
    right = (scores.argmax(1) == _days(held_out)).float().mean().item()
    return {
        "base": base,
        "seed": seed,
        "learning_rate": learning_rate,
        "loss_held_out": cross_entropy(scores, _days(held_out)).item(),
        "accuracy": right,
        "train_losses": losses,
    }


def _head(encoder: Encoder, seed: int) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(encoder.model.config.hidden_size, len(DAYS))


def _days(orders: list[Order]) -> Tensor:
    return torch.tensor([one.day for one in orders])


SEEDS = 8
# One learning rate for all bases: the best of these on the 16-bit base, with seeds that are not used again.
RATES, TUNED_ON = (3e-3, 6e-3), (100, 101)


def best_rate(runs: Sequence[Mapping[str, Any]]) -> float:
    """The learning rate whose runs end with the lowest mean held-out loss."""
    rates = sorted({run["learning_rate"] for run in runs})
    return min(rates, key=lambda r: fmean(run["loss_held_out"] for run in runs if run["learning_rate"] == r))


def record(seeds: Sequence[int] = range(SEEDS), out: Path | None = None) -> dict[str, Any]:
    """Measure everything, print it line by line, and write it to `out` or data/measurements/never_rounded.json."""
    encoder = models.load_encoder()
    kept = weights(encoder)
    recording: dict[str, Any] = {
        "what": (
            f"{models.ENCODER_NAME}, {sum(W.numel() for W in kept.values()):,} weights of {len(kept)} "
            "matrices in fp32, never rounded"
        ),
        "as_bf16": fmean(float((W.bfloat16() == W).float().mean()) for W in kept.values()),
        "ranking": rank(encoder),
        "spectra": spectra(kept),
        "runs": [],
    }
    for name, row in recording["ranking"].items():
        moved = summary(row["moved"])
        print(f"{name:<20}{row['bits']:6.3f} bits  error {row['error']:.4f}  1 - cos {moved.mean:.4f}", flush=True)
    shares = recording["spectra"]
    print(f"90% of the energy in {shares['share']:.3f} of full rank (noise {shares['noise']:.3f})", flush=True)
    recordings.keep(NAME, recording, out)
    if not seeds:
        return recording
    recording["tuning"] = [train(encoder, kept, "16-bit", seed, learning_rate=r) for r in RATES for seed in TUNED_ON]
    rate = best_rate(recording["tuning"])
    print(f"learning rate {rate:g}, the best of {RATES} on 16-bit and two other seeds", flush=True)
    for seed in seeds:
        recording["runs"] += [train(encoder, kept, base, seed, learning_rate=rate) for base in BASES]
        print(f"seed {seed}:", *(f"{run['loss_held_out']:.3f}" for run in recording["runs"][-len(BASES) :]), flush=True)
        recordings.keep(NAME, recording, out)
    on = {base: [run for run in recording["runs"] if run["base"] == base] for base in BASES}
    for base in list(BASES)[1:] if len(seeds) > 1 else ():
        cost = paired(on[base], on["16-bit"])
        print(f"{base:<12} above 16-bit by {cost.mean:.3f} nats ({cost.low:.3f} to {cost.high:.3f})")
    return recording
