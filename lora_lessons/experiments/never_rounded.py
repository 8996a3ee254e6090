"""The control of lessons 01, 06 and 07: the same measurements on a base that nobody rounded before us.

`lora-lessons bench encoder` ranks the ways to round, looks at the spectra, trains on four bases, and writes
data/measurements/never_rounded.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .. import lora, lowrank, models, quant, tasks
from ..lowrank import relative_error
from ..models import Encoder
from . import recordings
from .sweep.table import paired, summary


class Way(NamedTuple):
    """A way to round: what comes back of a weight, and the bits a parameter takes, its share of the scales included."""

    back: Callable[[Tensor], Tensor]
    bits: float


def even_marks(W: Tensor, blocksize: int = 32, offset: bool = False) -> Tensor:
    """W on 16 even marks per block and back, as llama.cpp's Q4_0 and (with `offset`) Q4_1 round, for any block size.

    Q4_0: marks −8 … 7 times a scale, so that the block's largest weight, whatever its sign, lies on mark −8. Q4_1: 16 marks from the
    block's lowest weight to its highest. Scale and offset are kept in 16 bits.
    """
    blocks = W.detach().float().reshape(-1, blocksize)
    if offset:
        low, high = blocks.aminmax(dim=1, keepdim=True)
        scale = (high - low) / 15
        codes = ((blocks - low) / scale.clamp(min=1e-38) + 0.5).floor().clamp(0, 15)
        back = codes * scale.half().float() + low.half().float()
    else:
        largest = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
        scale = largest / -8
        codes = (blocks / scale.where(scale != 0, torch.ones_like(scale)) + 8.5).floor().clamp(0, 15)
        back = (codes - 8) * scale.half().float()
    return back.view_as(W)


def _by_codebook(codebook: str, double: bool = False) -> Way:
    def back(W: Tensor) -> Tensor:
        return quant.dequantize(quant.quantize(W, codebook, double=double))

    return Way(back, quant.bits_per_parameter(double=double))


WAYS: dict[str, Way] = {
    "NF4": _by_codebook("nf4"),
    "NF4 + double": _by_codebook("nf4", double=True),
    "FP4": _by_codebook("fp4"),
    "int4": _by_codebook("int4"),
    "Q4_0": Way(even_marks, 4 + 16 / 32),
    "Q4_1": Way(partial(even_marks, offset=True), 4 + 32 / 32),
    "Q4_0, blocks of 64": Way(partial(even_marks, blocksize=64), 4 + 16 / 64),
    "Q4_1, blocks of 64": Way(partial(even_marks, blocksize=64, offset=True), 4 + 32 / 64),
}
SIXTEEN = Way(lambda W: W.bfloat16().to(W.dtype), 16)


@contextmanager
def rounded(model: Any, weights: Mapping[str, Tensor], way: Way) -> Iterator[None]:
    """While the block runs, each named weight of `model` is what `way` gives back of it; afterwards it is `weights` again."""
    try:
        with torch.no_grad():
            for name, W in weights.items():
                model.get_submodule(name).weight.copy_(way.back(W))
        yield
    finally:
        with torch.no_grad():
            for name, W in weights.items():
                model.get_submodule(name).weight.copy_(W)


def sentences(limit: int | None = None) -> list[str]:
    """The sentences of the course's general text, the first `limit` of them."""
    parts = re.split(r"(?<=[.!?])\s+", " ".join(tasks.general_text().split()))
    return [one for one in parts if one][:limit]


def weights(encoder: Encoder) -> dict[str, Tensor]:
    """A copy of each weight that is rounded, by name."""
    return {name: encoder.model.get_submodule(name).weight.detach().clone() for name in encoder.linears}


@torch.no_grad()
def embeddings(encoder: Encoder, texts: Sequence[str]) -> Tensor:
    """One row per text, 32 texts at a time."""
    return torch.cat([encoder.embed(texts[i : i + 32]) for i in range(0, len(texts), 32)])


def rank(
    encoder: Encoder, texts: Sequence[str] | None = None, ways: Mapping[str, Way] = WAYS
) -> dict[str, dict[str, Any]]:
    """For each way: bits, the mean relative error of the weights, and 1 − cosine between each text's two embeddings.

    `ways` are by name, `texts` by default every sentence of the general text. The encoder's weights are afterwards what they were.
    """
    texts = sentences() if texts is None else texts
    before, kept = embeddings(encoder, texts), weights(encoder)
    return {name: _measure(encoder, kept, way, before, texts) for name, way in ways.items()}


def _measure(
    encoder: Encoder, kept: Mapping[str, Tensor], way: Way, before: Tensor, texts: Sequence[str]
) -> dict[str, Any]:
    with rounded(encoder.model, kept, way):
        errors = [relative_error(W, encoder.model.get_submodule(name).weight) for name, W in kept.items()]
        moved = 1 - torch.cosine_similarity(before, embeddings(encoder, texts))
    return {"bits": way.bits, "error": fmean(errors), "moved": [round(one, 6) for one in moved.tolist()]}


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


def dose(W: Tensor, times: float, seed: int = 0) -> Tensor:
    """Noise as rounding to Q4_1 makes it, `times` as strong: up to half the distance between two marks, each way."""
    blocks = W.detach().reshape(-1, 32)
    apart = (blocks.amax(1, keepdim=True) - blocks.amin(1, keepdim=True)) / 15
    noise = torch.rand(blocks.shape, generator=torch.Generator().manual_seed(seed)) - 0.5
    return (times * apart * noise).reshape(W.shape)


def directions(W: Tensor, doses: Sequence[float], seed: int = 0) -> list[int]:
    """How many directions hold 90% of the energy of W after each dose."""
    return [lowrank.rank_for_energy(lowrank.svd(W.detach() + dose(W, times, seed)).S, 0.9) for times in doses]


def best_rate(runs: Sequence[Mapping[str, Any]]) -> float:
    """The learning rate whose runs end with the lowest mean held-out loss."""
    rates = sorted({run["learning_rate"] for run in runs})
    return min(rates, key=lambda r: fmean(run["loss_held_out"] for run in runs if run["learning_rate"] == r))


def record(seeds: Sequence[int] = range(SEEDS), out: Path | None = None) -> dict[str, Any]:
    """Measure everything, print it line by line, and write it to `out` or data/measurements/never_rounded.json."""
    encoder = models.load_encoder()
    kept = weights(encoder)
    recording: dict[str, Any] = {
        "what": f"{models.ENCODER_NAME}, {sum(W.numel() for W in kept.values()):,} weights of {len(kept)} matrices in fp32, never rounded",
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
