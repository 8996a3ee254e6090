"""Will it train here? A bill from a model's configuration alone, and what to change when it does not fit.

The model's own code says what it keeps: a few of its blocks run one training step on the meta device, where tensors
have shapes and no numbers, before a tape. Batch, sequence length and rank are prime there, so that the size of every
tensor tells by what it grows; blocks are alike, so that a few tell of all. One such trace answers for every length.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .. import lora
from ..errors import ModelError
from . import bill as bills
from . import tape
from .bill import Bill
from .jobs import LONGEST, Job, Shape, build, period, shape_of

PRIMES = {"batch": (1009, 1013, 1019), "seq": (9241, 9277, 9601), "r": (13, 17, 19, 23, 29, 11, 7, 5, 3)}


# ---- predict ----


class Ledger(NamedTuple):
    """The bill at the fullest moment of a step, which moment that is, and the bills of the others."""

    bill: Bill
    moment: str  # one of tape.MOMENTS
    moments: dict[str, Bill]
    paged: float = 0.0  # bytes of the optimizer that wait in the computer's memory, not on the card


def predict(model: Any, job: Job, card: bool = True) -> Ledger:
    """The bill of training `model` (see `shape_of`) as `job` says; on a card or, with card=False, on a processor.

    Raises ModelError when the model cannot be read or its code cannot run without weights, ValueError when a setting
    does not fit it.
    """
    return ledgers(model, job, [job.seq], card)[0]


def ledgers(model: Any, job: Job, lengths: Sequence[int], card: bool = True) -> list[Ledger]:
    """`predict` for every sequence length in `lengths` at once; after the first call, in a few milliseconds."""
    shape = shape_of(model)
    check(shape, job)
    peaks = _peaks(shape, job, np.asarray(lengths, float), card)
    paged = np.zeros(len(lengths))
    if card and job.optimizer.startswith("paged"):
        optimizer = tape.KINDS.index("optimizer")
        paged, peaks[:, optimizer] = peaks[0, optimizer].copy(), 0
    return [_ledger(peaks[:, :, n], card, float(paged[n])) for n in range(len(lengths))]


def _ledger(peaks: np.ndarray, card: bool, paged: float = 0.0) -> Ledger:
    """`peaks`: bytes by moment and kind."""
    moments = {}
    for name, kinds in zip(tape.MOMENTS, peaks.tolist(), strict=True):
        if any(kinds):
            overhead = bills.CONTEXT_BYTES + bills.SLACK * sum(kinds) if card else 0.0
            moments[name] = Bill(*kinds)._replace(overhead=overhead)
    fullest = max(moments, key=lambda name: moments[name].total)
    return Ledger(moments[fullest], fullest, moments, paged)


def check(shape: Shape, job: Job) -> None:
    """Raise ValueError, naming what to change, when r or target_modules does not fit the model."""
    if job.method != "full":
        for d, k in _targets(shape, job.target_modules):
            lora.check_settings(job.r, 1, d, k)


@cache
def _targets(shape: Shape, target_modules: str | tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """The different (d, k) of the weights that the adapters stand beside."""
    model, _ = build(shape, Job("full", gradient_checkpointing=False), blocks=min(shape.config().num_hidden_layers, 1))
    names = lora.resolve_targets(model, target_modules)
    weights = (model.get_parameter(f"{name}.weight") for name in names)
    return tuple({(w.shape[0], w.shape[1]) for w in weights})


def _peaks(shape: Shape, job: Job, lengths: np.ndarray, card: bool) -> np.ndarray:
    """Bytes by moment, kind and length: a few blocks told, the others alike."""
    config = shape.config()
    every, repeats = config.num_hidden_layers, period(getattr(config, "layer_types", None) or ["alike"])
    few, more = 2 + repeats, 2 + 2 * repeats
    counts = [every] if every <= more else [few, more]
    primes = _primes(shape, job)
    key = replace(job, seq=primes[1], batch_size=primes[0], r=primes[2] or job.r)
    told = [trace(shape, key, blocks, card, bool(primes[2])).peaks(job.batch_size, lengths, job.r) for blocks in counts]
    return told[0] if len(told) == 1 else told[0] + (told[1] - told[0]) * (every - few) / (more - few)


def _primes(shape: Shape, job: Job) -> tuple[int, int, int]:
    """A batch, a length and a rank that no size of the model contains; rank 0 where sizes do not simply grow with it."""
    numbers = [n for n in json.loads(shape.text).values() if isinstance(n, int) and not isinstance(n, bool) and n > 1]
    batch, seq = (next((p for p in PRIMES[name] if all(n % p for n in numbers)), 0) for name in ("batch", "seq"))
    r: list[int] = []
    if job.method != "full" and "8bit" not in job.optimizer:  # moments in 8 bits come in blocks of 256
        least = min(min(pair) for pair in _targets(shape, job.target_modules))
        r = [p for p in PRIMES["r"] if p <= least and all(n % p for n in numbers)]
    return batch, seq, (*r, 0)[0]


@cache
def trace(shape: Shape, job: Job, blocks: int, card: bool, grows_with_r: bool) -> tape.Trace:
    """One training step of `blocks` blocks on the meta device, read off; batch, seq and perhaps r of `job` are prime."""
    model, optimizer = build(shape, job, blocks=blocks)
    if not card and job.optimizer == "adamw":
        optimizer.param_groups[0]["foreach"] = False
    ids = torch.zeros(job.batch_size, job.seq, dtype=torch.long, device="meta")
    try:
        written = tape.step(model, {"input_ids": ids, "labels": ids}, optimizer)
    except Exception as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise ModelError(
            f"{shape.name}: the ledger reads decoder-only models such as Llama, Mistral, Qwen and Gemma; this one could not "
            f"run without weights ({why})."
        ) from error
    return written.read((job.batch_size, job.seq, job.r if grows_with_r else 0))


# ---- does it fit, and if not, what then? ----


class Change(NamedTuple):
    """A change to a job, in words, and the bytes that the job takes with it (and all changes before)."""

    what: str
    job: Job
    total: float


class Plan(NamedTuple):
    """A job's ledger beside a card's room; `changes` leads to a job that fits, as far as there is one."""

    name: str
    job: Job
    ledger: Ledger
    room: float  # bytes
    longest: int  # tokens in the longest sequence that fits, all else as in the job; 0: none
    made_for: int | None  # tokens that the model was made for
    changes: list[Change]

    @property
    def fits(self) -> bool:
        return self.ledger.bill.total <= self.room


def plan(model: Any, job: Job, room: float) -> Plan:
    """Whether `job` fits into `room` bytes, the longest sequence that does, and what to change first if not.

    Raises as `predict` does.
    """
    shape = shape_of(model)
    ledger = predict(shape, job)
    made_for = getattr(shape.config(), "max_position_embeddings", None)
    changes = [] if ledger.bill.total <= room else _changes(shape, job, room, ledger.bill.total)
    return Plan(shape.name, job, ledger, room, longest(shape, job, room), made_for, changes)


def longest(model: Any, job: Job, room: float) -> int:
    """Tokens of the longest sequence with which `job` stays within `room` bytes; 0 when not even one token does."""
    low, high = 0, LONGEST + 1  # fits, does not
    while high - low > 1:
        spread = np.unique(np.geomspace(max(low, 1), high, 66).astype(int)).tolist()
        between = [n for n in spread if low < n < high] or [(low + high) // 2]
        fit = [ledger.bill.total <= room for ledger in ledgers(model, job, between)]
        low = max([low, *(n for n, yes in zip(between, fit, strict=True) if yes)])
        high = min([high, *(n for n, yes in zip(between, fit, strict=True) if not yes)])
    return low


def _changes(shape: Shape, job: Job, room: float, total: float) -> list[Change]:
    """The mildest single change that makes the job fit; else several, mildest first; a shorter text is the last resort."""

    def cost(job: Job) -> float:
        return predict(shape, job).bill.total

    def shorter(job: Job) -> list[Change]:
        tokens = longest(shape, job, room)
        made = replace(job, seq=tokens) if tokens else job
        return [Change(f"sequences of at most {tokens:,} tokens", made, cost(made))] if tokens else []

    for what, fields in _options(job):
        changed = replace(job, **fields)
        if (now := cost(changed)) <= room:
            return [Change(what, changed, now)]
    taken: list[tuple[str, dict[str, Any]]] = []
    best = job
    while total > room:
        helpful = ((w, f) for w, f in _options(best) if cost(replace(best, **f)) < 0.99 * total)
        if not (step := next(helpful, None)):
            break
        taken.append(step)
        best = replace(best, **step[1])
        total = cost(best)
    for step in list(taken):  # what a later step made needless is not asked for
        rest = [other for other in taken if other is not step]
        if cost(_with(job, rest)) <= room:
            taken = rest
    changes = [
        Change(w, _with(job, taken[: n + 1]), cost(_with(job, taken[: n + 1]))) for n, (w, _) in enumerate(taken)
    ]
    return changes if total <= room else changes + shorter(best)


def _with(job: Job, steps: Sequence[tuple[str, dict[str, Any]]]) -> Job:
    for _, fields in steps:
        job = replace(job, **fields)
    return job


def _options(job: Job) -> Iterator[tuple[str, dict[str, Any]]]:
    """Changes that save memory, in words and as fields of the job, the mildest first."""
    half = "bf16" if job.dtype == "fp32" else job.dtype
    if not job.gradient_checkpointing:
        yield "checkpointing (each block is computed twice: slower, the same result)", {"gradient_checkpointing": True}
    if job.batch_size > 1:
        yield "one sequence at a time, gradients summed over several", {"batch_size": 1}
    if job.optimizer in ("adamw", "adamw_fused", "paged_adamw"):
        yield "AdamW's moments in 8 bits and in pageable memory (paged_adamw_8bit)", {"optimizer": "paged_adamw_8bit"}
    if job.method == "full":
        yield "LoRA: the base is frozen, adapters alone train", {"method": "lora", "dtype": half}
    if job.method != "qlora":
        yield "QLoRA: the base is frozen in NF4", {"method": "qlora", "dtype": half}
    if job.method != "full" and job.r > 8:
        yield "rank 8", {"r": 8}


METHOD_NAMES = {"full": "full fine-tuning", "lora": "LoRA", "qlora": "QLoRA"}
SAID = {
    "forward": "the forward pass", "loss": "the loss", "last block": "the way back through the last block",
    "middle blocks": "the way back through the blocks", "first block": "the end of the way back",
    "optimizer step": "the optimizer's step",
}  # fmt: skip


def describe(job: Job) -> str:
    """The job in words."""
    how = (
        f"{METHOD_NAMES[job.method]} in {job.dtype}"
        if job.method == "full"
        else f"{METHOD_NAMES[job.method]} at r = {job.r}"
    )
    sequences = f"{job.batch_size} sequence{'s' * (job.batch_size > 1)} of {job.seq:,} tokens"
    return f"{how}, {sequences}, checkpointing {'on' if job.gradient_checkpointing else 'off'}"


def verdict(plan: Plan, card: str) -> str:
    """Fits or not, the longest sequence that does, and what to change first: sentences."""
    total, room = plan.ledger.bill.total, plan.room
    gb = f"{abs(room - total) / bills.GB:.1f} GB"
    says = [f"{card} holds {room / bills.GB:.1f} GB: it fits, and {gb} are free." if plan.fits else f"{card} holds {room / bills.GB:.1f} GB: it does not fit, {gb} are missing."]  # fmt: skip
    if plan.longest:
        more = f" (the model was made for {plan.made_for:,})" if plan.made_for and plan.longest > plan.made_for else ""
        says.append(f"The longest sequence that fits: {plan.longest:,} tokens{more}.")
    else:
        says.append("As set, not even one token fits.")
    if plan.changes:
        steps = "; then ".join(f"{c.what}: {c.total / bills.GB:.1f} GB" for c in plan.changes)
        enough = (
            ""
            if plan.changes[-1].total <= room
            else ". Even so it does not fit: a larger card or a smaller model is needed"
        )
        says.append(f"Change first: {steps}{enough}.")
    elif not plan.fits:
        says.append("Nothing that this planner knows makes it fit: a larger card or a smaller model is needed.")
    return " ".join(says)


def bill_table(ledger: Ledger) -> str:
    """The ledger as lines of text in GB, for the fullest moment, and the total of each other moment."""
    rows = [
        f"{name:<24}{size / bills.GB:>9.3f} GB"
        for name, size in zip(bills.LINES, ledger.bill, strict=True)
        if size > 5e5
    ]
    rows += [f"{'total':<24}{ledger.bill.total / bills.GB:>9.3f} GB   at the fullest moment: {SAID[ledger.moment]}"]
    if ledger.paged:
        rows += [f"{'(paged out)':<24}{ledger.paged / bills.GB:>9.3f} GB   AdamW's moments, in the computer's memory"]
    others = [
        f"{SAID[name]} {bill.total / bills.GB:.2f}" for name, bill in ledger.moments.items() if name != ledger.moment
    ]
    return "\n".join([*rows, "Other moments, in GB: " + ", ".join(others) + "."])


ASSUMED = (
    f"Assumed, not measured: {bills.CONTEXT_BYTES / bills.GB:g} GB for CUDA's context and {bills.SLACK:.0%} for the allocator's "
    "slack; a fused attention kernel; sequences without padding. `lora-lessons bench memory` measures."
)


def as_json(shape: Shape, job: Job, ledger: Ledger, plan: Plan | None, card: str) -> dict[str, Any]:
    """All of it as plain data, sizes in bytes."""

    def lines(bill: Bill) -> dict[str, int]:
        return {name: round(size) for name, size in (bill._asdict() | {"total": bill.total}).items()}

    made: dict[str, Any] = {
        "model": shape.name, "job": job.counted(), "bill": lines(ledger.bill), "moment": ledger.moment,
        "moments": {name: lines(bill) for name, bill in ledger.moments.items()}, "paged": round(ledger.paged),
        "assumed": {"context_bytes": bills.CONTEXT_BYTES, "slack": bills.SLACK},
    }  # fmt: skip
    if plan is not None:
        changes = [{"what": c.what, "job": c.job.counted(), "total": round(c.total)} for c in plan.changes]
        made |= {
            "card": card,
            "room": round(plan.room),
            "fits": plan.fits,
            "longest": plan.longest,
            "change_first": changes,
        }
    return made


# ---- measure ----


def measure(model: nn.Module, batch: dict[str, Tensor], optimizer: Any) -> Ledger:
    """The ledger of one real training step: every line counted on the tensors that lived, at the fullest moment.

    The optimizer must have stepped before. `overhead` is 0: the tape sees tensors, `torch.cuda` the card (see `on_card`).
    """
    return _ledger(tape.step(model, batch, optimizer).read().peaks()[:, :, 0], card=False)
