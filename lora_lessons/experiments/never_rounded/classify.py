"""A small task for the encoder: which day does an order name? Eight answers, the seven days and none.

The orders are those of data/strict_json. A seed draws the topics held out, A's first values and the order of the batches;
all bases meet the same draws, so that differences are taken seed by seed.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ... import lora, tasks
from ...models import Encoder
from .ways import SIXTEEN, WAYS, rounded

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
    found = []
    for example in [*task.train, *task.held_out]:
        asked, answered = (message["content"] for message in example["messages"])
        text = asked.split("\n", 1)[1]
        found.append(Order(example["topic"], text, DAYS.index(json.loads(answered)["day"])))
    return found


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


def _days(found: list[Order]) -> Tensor:
    return torch.tensor([one.day for one in found])
