"""A training step's bill from a model's configuration alone, for any batch, length and rank.

The model's own code says what it keeps: a few of its blocks run one training step on the meta device, where tensors
have shapes and no numbers, before a tape. Batch, sequence length and rank are prime there, so that the size of every
tensor tells by what it grows; blocks are alike, so that a few tell of all. One such trace answers for every length, or
with a sliding window one for the lengths within it and one for those beyond, where every block keeps a mask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .. import lora
from ..disk_cache import once
from ..errors import ModelError
from . import tape
from .bill import CONTEXT_BYTES, SLACK, Bill
from .build import build
from .job import DTYPES, Job, Shape, shape_of, why
from .parts import Parts, parts_of

# Primes, of which the lengths' neighbours have a large factor, too: labels are padded by one, logits cut by one.
PRIMES = {"batch": (1009, 1013, 1019), "seq": (9277, 9403, 9497, 9643), "r": (13, 17, 19, 23, 29, 11, 7, 5, 3)}
WITHIN, BEYOND = 2**30, 2  # tokens: a window that no length reaches, and one that every length exceeds


class Ledger(NamedTuple):
    """The bill at the fullest moment of a step, which moment that is, and the bills of the others."""

    bill: Bill
    moment: str  # one of tape.MOMENTS
    moments: dict[str, Bill]
    paged: float = 0.0  # bytes of the optimizer that wait in the computer's memory, not on the card
    experts: float = 0.0  # bytes of the base weights that are experts of a mixture
    left_out: tuple[tuple[str, int], ...] = ()  # weights of experts that no adapter reaches, and their numbers
    half_of: str | None = None  # the model type of which this is the language half


def predict(model: Any, job: Job, card: bool = True) -> Ledger:
    """The bill of training `model` (see `shape_of`) as `job` says; on a card or, with card=False, on a processor.

    Raises ModelError when the model cannot be read or its code cannot run without weights, ValueError when a setting
    does not fit it.
    """
    return ledgers(model, job, [job.seq], card)[0]


def ledgers(model: Any, job: Job, lengths: Sequence[int], card: bool = True) -> list[Ledger]:
    """`predict` for every sequence length in `lengths` at once; after the first call, in a few milliseconds."""
    shape = shape_of(model)
    parts = check(shape, job)
    peaks = _peaks(shape, parts, job, np.asarray(lengths, float), card)
    paged = np.zeros(len(lengths))
    if card and job.optimizer.startswith("paged"):
        optimizer = tape.KINDS.index("optimizer")
        paged, peaks[:, optimizer] = peaks[0, optimizer].copy(), 0
    left_out = parts.left_out if job.method != "full" else ()
    experts = parts.experts * DTYPES[job.dtype].itemsize
    made = (_ledger(peaks[:, :, n], card) for n in range(len(lengths)))
    return [
        ledger._replace(paged=float(paged[n]), experts=float(experts), left_out=left_out, half_of=parts.half_of)
        for n, ledger in enumerate(made)
    ]


def measure(
    model: nn.Module, batch: Mapping[str, Tensor], optimizer: Any, loss_of: Callable[[], Tensor] | None = None
) -> Ledger:
    """The ledger of one real training step: every line counted on the tensors that lived, at the fullest moment.

    The optimizer must have stepped before. `overhead` is 0: the tape sees tensors, `torch.cuda` what the card gave.
    `loss_of` gives the loss in another way than by calling the model (see `tape.step`).
    """
    return _ledger(tape.step(model, batch, optimizer, loss_of).read().peaks()[:, :, 0], card=False)


def _ledger(peaks: np.ndarray, card: bool) -> Ledger:
    """`peaks`: bytes by moment and kind."""
    moments = {}
    for name, kinds in zip(tape.MOMENTS, peaks.tolist(), strict=True):
        if any(kinds):
            overhead = CONTEXT_BYTES + SLACK * sum(kinds) if card else 0.0
            moments[name] = Bill(*kinds)._replace(overhead=overhead)
    fullest = max(moments, key=lambda name: moments[name].total)
    return Ledger(moments[fullest], fullest, moments)


def check(shape: Shape, job: Job) -> Parts:
    """The parts of `shape`. Raises ValueError, naming what to change, when r or target_modules does not fit them."""
    if job.method == "full":
        return parts_of(shape, ())
    parts = parts_of(shape, job.target_modules)
    for name, d, k in parts.targets:
        try:
            lora.check_settings(job.r, 1, d, k)
        except ValueError as error:
            said = str(error).removesuffix(".")
            raise ValueError(f"{said}. That is {name}: or name the layers to adapt without it.") from error
    return parts


def _peaks(shape: Shape, parts: Parts, job: Job, lengths: np.ndarray, card: bool) -> np.ndarray:
    """Bytes by moment, kind and length: a few blocks told, the others alike."""
    batch, seq, r = primes(parts, job)
    key = replace(job, seq=seq, batch_size=batch, r=r or job.r)
    counts = few_and_more(parts)
    found = np.zeros((len(tape.MOMENTS), len(tape.KINDS), len(lengths)))
    for window in [None] if not parts.windows else [WITHIN, BEYOND]:
        these = _where(window, parts, lengths)
        if these.any():
            told = [
                trace(shape, key, blocks, window, card, bool(r)).peaks(job.batch_size, lengths[these], job.r)
                for blocks in counts
            ]
            found[:, :, these] = told[0]
            if len(told) > 1:
                few, more = counts
                found[:, :, these] += (told[1] - told[0]) * (parts.blocks - few) / (more - few)
    return found


def _where(window: int | None, parts: Parts, lengths: np.ndarray) -> np.ndarray:
    """Which `lengths` a trace with `window` answers for: all, those below every window, or the others."""
    if window is None:
        return np.full(len(lengths), True)
    within = lengths < parts.windows[0]
    return within if window == WITHIN else ~within


def few_and_more(parts: Parts) -> tuple[int, ...]:
    """How many blocks to trace: a first, a last and a whole pattern between, and then one more; or all there are."""
    least = parts.before + (3 if parts.period == 1 else parts.period + 2)
    few = least + (parts.blocks - least) % parts.period
    more = few + parts.period
    return (parts.blocks,) if parts.blocks <= more else (few, more)


def primes(parts: Parts, job: Job) -> tuple[int, int, int]:
    """A batch, a length and a rank that no size of the model contains; rank 0 where sizes do not simply grow with it."""
    batch, seq = (next((p for p in PRIMES[name] if all(n % p for n in parts.numbers)), 0) for name in ("batch", "seq"))
    r: list[int] = []
    # Moments in 8 bits come in blocks of 256.
    if job.method != "full" and "8bit" not in job.optimizer:
        least = min(min(d, k) for _, d, k in parts.targets)
        r = [p for p in PRIMES["r"] if p <= least and all(n % p for n in parts.numbers)]
    return batch, seq, (*r, 0)[0]


@cache
def trace(shape: Shape, job: Job, blocks: int, window: int | None, card: bool, grows_with_r: bool) -> tape.Trace:
    """One training step of `blocks` blocks on the meta device, read off; batch, seq and perhaps r of `job` are prime."""
    key = [shape.text, job.counted(), blocks, window, card, grows_with_r]

    def made() -> dict[str, Any]:
        return {
            name: part.tolist() for name, part in _run(shape, job, blocks, window, card, grows_with_r)._asdict().items()
        }

    found = once("trace", key, tape.Trace._fields, made)
    return tape.Trace(**{name: np.array(part) for name, part in found.items()})


def _run(shape: Shape, job: Job, blocks: int, window: int | None, card: bool, grows_with_r: bool) -> tape.Trace:
    model, optimizer = build(shape, job, blocks=blocks, window=window, card=card)
    ids = torch.zeros(job.batch_size, job.seq, dtype=torch.long, device="meta")
    try:
        written = tape.step(model, {"input_ids": ids, "labels": ids}, optimizer)
    except Exception as error:
        raise ModelError(
            f"{shape.name}: this {shape.config().model_type} could not run a text of {job.seq:,} tokens without weights "
            f"({why(error)}). The ledger reads decoder-only models such as Llama, Mistral, Qwen and Gemma."
        ) from error
    read = written.read((job.batch_size, job.seq, job.r if grows_with_r else 0))
    if job.seq in PRIMES["seq"] and read.lumpy(job.seq):
        raise ModelError(
            f"{shape.name}: this {shape.config().model_type} works through the text in pieces, so that its memory does not "
            "grow evenly with the length and its ledger cannot be read."
        )
    return read
