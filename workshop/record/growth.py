"""`python -m workshop record growth`: what a training step costs as the rank, the text and the depth grow.

A small Llama with random weights takes the same step in both of the course's ways, in turn. Bytes are those of the
tensors alive at the fullest moment, counted by the ledger's tape; beside them stands what the ledger predicted for the
plain way.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lora_lessons import memory, models
from lora_lessons.experiments.recordings import keep
from lora_lessons.machine import machine
from lora_lessons.tasks import Encoded
from lora_lessons.training.losses import plain

RECORDING = "growth"
PLAIN, FAST = "plain", "fast"
# A Llama in which every linear layer has room for r = 256.
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 8192,
    "max_position_embeddings": 4096,
}
START = {"r": 16, "seq": 256, "blocks": 4}
GROWS: dict[str, Sequence[int]] = {"r": (1, 4, 16, 64, 256), "seq": (64, 128, 256, 512, 1024), "blocks": (2, 4, 8, 16)}


def record(
    grows: Mapping[str, Sequence[int]] = GROWS, repeats: int = 5, out: Path | None = None, llama: dict[str, Any] = LLAMA
) -> dict[str, Any]:
    """One row per setting: from START, one of the three grows and the others stay. Prints the rows and keeps them."""
    device, precision = models.best_device(), models.best_precision().name
    print(f"{machine()}, {device}, {precision}: a Llama of d = {llama['hidden_size']}, one text per step;")
    print(f"medians of {repeats} steps, and MB alive at the fullest moment.")
    print(
        f"{'':<14}{'r':>5}{'seq':>6}{'blocks':>8}{'plain':>13}{'MB':>9}"
        f"{'predicted':>11}{'error':>8}{'fast':>13}{'MB':>9}"
    )
    rows = []
    for name, setting in settings(grows):
        rows.append({"grows": name, **setting} | one(**setting, repeats=repeats, precision=precision, llama=llama))
        print(line(rows[-1]), flush=True)
    recording = {"device": device, "precision": precision, "model": llama, "repeats": repeats, "rows": rows}
    keep(RECORDING, recording, out)
    return recording


def settings(grows: Mapping[str, Sequence[int]]) -> Iterator[tuple[str, dict[str, int]]]:
    """What grows, and r, seq and blocks."""
    return ((name, START | {name: value}) for name, values in grows.items() for value in values)


def one(r: int, seq: int, blocks: int, repeats: int, precision: str, llama: dict[str, Any]) -> dict[str, Any]:
    """Seconds and bytes of a step, plain and fast, and the bytes predicted for the plain one."""
    from transformers import AutoConfig

    shape = memory.shape_of(AutoConfig.for_model(**llama, num_hidden_layers=blocks))
    job = memory.Job("lora", r, seq=seq, dtype=precision, gradient_checkpointing=False, fast=False)
    device = models.best_device()
    predicted = memory.predict(shape, job, card=device != "cpu").bill
    model, optimizer = memory.build(shape, job, device)
    ids = torch.randint(llama["vocab_size"], (seq,), generator=torch.Generator().manual_seed(0))
    text, path = [Encoded(ids, ids.clone())], memory.TapedPath(model)
    losses: dict[str, Callable[..., Tensor]] = {PLAIN: plain(model), FAST: path.loss}
    # the first round is not counted: it also makes what later ones find
    rounds = [{way: step(loss, text, optimizer) for way, loss in losses.items()} for _ in range(repeats + 1)][1:]
    kept = {
        PLAIN: memory.measure(model, text, optimizer).bill.total,
        FAST: memory.measure(model, text, optimizer, path).bill.total,
    }
    return {
        "seconds": {way: statistics.median(times[way] for times in rounds) for way in losses},
        "bytes": kept,
        "predicted": predicted.total - predicted.overhead,
    }


def step(loss_of: Callable[..., Tensor], text: Sequence[Encoded], optimizer: torch.optim.Optimizer) -> float:
    """Seconds of one step: forward, backward, AdamW."""
    start = time.perf_counter()
    optimizer.zero_grad()
    loss = loss_of(text)
    loss.backward()
    optimizer.step()
    if loss.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def line(row: dict[str, Any]) -> str:
    """One setting as text."""
    error = row["predicted"] / row["bytes"][PLAIN] - 1
    shown = f"{row['grows'] + ' grows':<14}{row['r']:>5}{row['seq']:>6}{row['blocks']:>8}"
    shown += f"{1000 * row['seconds'][PLAIN]:>10.0f} ms{row['bytes'][PLAIN] / 1e6:>9.1f}"
    shown += f"{row['predicted'] / 1e6:>11.1f}{error:>+8.1%}"
    return shown + f"{1000 * row['seconds'][FAST]:>10.0f} ms{row['bytes'][FAST] / 1e6:>9.1f}"
