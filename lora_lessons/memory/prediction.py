"""A training step's bill from a model's configuration alone, for any batch, length and rank.

The model's own code says what it keeps: a few of its blocks run one training step on the meta device, where tensors
have shapes and no numbers, before a tape. Batch, sequence length and rank are prime there, so that the size of every
tensor tells by what it grows; blocks are alike, so that a few tell of all. One such trace answers for every length, or
with a sliding window one for the lengths within it and one for those beyond, where every block keeps a mask. The fast
path chooses its attention by the length on a processor: there every length has a trace of its own.
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
from ..fast.rows import CHUNK, Rows
from ..models import others_say
from ..tasks import Encoded, collate
from . import tape, way
from .bill import CONTEXT_BYTES, NF4_BITS, SCALE_BITS, SLACK, Bill
from .build import build
from .job import DTYPES, Job, Shape, check_packed, shape_of, why
from .parts import Parts, parts_of
from .way import ASKED

# Primes, of which the lengths' neighbours have a large factor, too: labels are padded by one, logits cut by one.
PRIMES = {"batch": (1009, 1013, 1019), "seq": (9277, 9403, 9497, 9643), "r": (13, 17, 19, 23, 29, 11, 7, 5, 3)}
# The fast path takes its logits in chunks: each of these lengths has, but for its first token, a whole number of chunks
# of its own prime size. Small, because every chunk is run.
FAST_BATCH, FAST_SEQ = (31, 37, 41, 43), {1283: 641, 1307: 653, 1523: 761, 563: 281, 347: 173}
WITHIN, BEYOND = 2**30, 2  # tokens: a window that no length reaches, and one that every length exceeds


class Ledger(NamedTuple):
    """The bill at the fullest moment of a step, which moment that is, and the bills of the others."""

    bill: Bill
    moment: str  # one of tape.MOMENTS
    moments: dict[str, Bill]
    paged: float = 0.0  # bytes of the optimizer that wait in the computer's memory, not on the card
    experts: float = 0.0  # bytes of the base weights that are experts of a mixture
    loading: float = 0.0  # bytes of the 16-bit weights that NF4 is packed from; 0 where nothing is packed
    left_out: tuple[tuple[str, int], ...] = ()  # weights of experts that no adapter reaches, and their numbers
    peft_adds: tuple[str, ...] = ()  # what PEFT adapts of a block beside its Linear layers, if anything
    peft_skips: int = 0  # Linear layers that PEFT then leaves out
    recipe: str = "course"  # who trains, as in Job
    half_of: str | None = None  # the model type of which this is the language half
    fast: bool = False  # whether it takes the fast path
    plain: str = ""  # why the course's own loop and layers take the plain way, if they do


def predict(model: Any, job: Job, card: bool = True) -> Ledger:
    """The bill of training `model` (see `shape_of`) as `job` says; on a card or, with card=False, on a processor.

    Raises ModelError when the model cannot be read or its code cannot run without weights, ValueError when a setting
    does not fit it.
    """
    return ledgers(model, job, [job.seq], card)[0]


def ledgers(model: Any, job: Job, lengths: Sequence[int], card: bool = True) -> list[Ledger]:
    """`predict` for every sequence length in `lengths` at once; after the first call, in a few milliseconds."""
    shape = shape_of(model)
    return _ledgers(shape, job, _bytes_held(shape, check(shape, job), job, np.asarray(lengths), card), card)


def predict_texts(model: Any, job: Job, batches: Sequence[Sequence[Encoded]], card: bool = True) -> Ledger:
    """The bill of the fullest of `batches`, each as it is: its lengths, what its texts share, and what they are taught.

    `job` says all else but seq. A batch of more than its batch_size goes through the model in parts of that size, whose
    gradients are summed. Raises as `predict` does.
    """
    shape, size = shape_of(model), job.batch_size
    parts, fast = check(shape, job), not why_plain(shape, job, card)
    summed = any(len(batch) > size for batch in batches)
    pieces = [batch[start : start + size] for batch in batches for start in range(0, len(batch), size)]
    peaks = [
        _all_blocks(
            parts,
            lambda blocks: _run(shape, job, blocks, None, card, (0, 0, 0, 0), piece, summed).peaks(),  # noqa: B023
        )
        for piece in _fullest(pieces, fast)
    ]
    return max(_ledgers(shape, job, np.concatenate(peaks, axis=2), card), key=lambda ledger: ledger.bill.total)


def _fullest(batches: Sequence[Sequence[Encoded]], fast: bool) -> list[Sequence[Encoded]]:
    """Those of `batches` that may be the fullest: with most tokens, most answers, or the largest attention."""

    def sizes(batch: Sequence[Encoded]) -> tuple[int, ...]:
        if not fast:  # one rectangle
            longest = max(len(one.input_ids) for one in batch)
            return len(batch) * longest, len(batch) * longest**2
        rows = Rows(batch, torch.device("meta"))
        return len(rows.input_ids), len(rows.labels), rows.grid.numel() * (rows.shared + rows.grid.shape[1])

    by_size = [(sizes(batch), number) for number, batch in enumerate(batches)]
    largest = {max(by_size, key=lambda one: one[0][n])[1] for n in range(len(by_size[0][0]))}
    return [batches[number] for number in sorted(largest)]


def _ledgers(shape: Shape, job: Job, peaks: np.ndarray, card: bool) -> list[Ledger]:
    """A ledger for each length in `peaks`: bytes by moment, kind and length."""
    parts = check(shape, job)
    paged = np.zeros(peaks.shape[2])
    if card and job.optimizer.startswith("paged"):
        optimizer = tape.KINDS.index("optimizer")
        paged, peaks[:, optimizer] = peaks[0, optimizer].copy(), 0
    adapted = job.method != "full"
    left_out = parts.left_out if adapted and (job.recipe == "course" or not parts.by_peft) else ()
    experts = (unpacked := _unpacked(shape, parts, job)) * DTYPES[job.dtype].itemsize
    own_base = unpacked < parts.experts
    plain = why_plain(shape, job, card)
    made = (_ledger(peaks[:, :, n], card) for n in range(len(paged)))
    return [
        ledger._replace(
            paged=float(paged[n]),
            experts=float(experts),
            loading=_in_16_bits(ledger.bill, experts, job) if job.method == "qlora" and not own_base else 0.0,
            left_out=left_out,
            peft_adds=parts.peft_adds if adapted else (),
            peft_skips=parts.peft_skips,
            recipe=job.recipe,
            half_of=parts.half_of,
            fast=not plain,
            plain=plain if plain != ASKED else "",
        )
        for n, ledger in enumerate(made)
    ]


def _in_16_bits(bill: Bill, experts: float, job: Job) -> float:
    """The bytes of a base's weights before they are packed to a quarter, which experts never are,
    and the rest is prepared."""
    return 4 * (bill.base - experts) + experts + bill.rest / (2 if job.recipe == "hf" else 1)


def measure(
    model: nn.Module,
    batch: Mapping[str, Tensor] | Sequence[Encoded],
    optimizer: Any,
    path: way.TapedPath | None = None,
) -> Ledger:
    """The ledger of one real training step: every line counted on the tensors that lived, at the fullest moment.

    The optimizer must have stepped before. `overhead` is 0: the tape sees tensors, `torch.cuda` what the card gave.
    `batch` is what the model is called with, or the texts that go by the fast path `path` (see `way.taped`).
    """
    given = batch if isinstance(batch, Mapping) else path.rows(batch) if path else _rectangle(model, batch)
    return _ledger(tape.step(model, given, optimizer, path).read().peaks()[:, :, 0], card=False)


def _rectangle(model: Any, batch: Sequence[Encoded]) -> dict[str, Tensor]:
    """What the plain way calls `model` with; without the mask where nothing is padded,
    which models find out themselves."""
    made = collate(batch, pad_id=0)
    if made.get("attention_mask", torch.zeros(1)).all():
        del made["attention_mask"]
    return {name: tensor.to(next(model.parameters()).device) for name, tensor in made.items()}


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
    """The parts of `shape`. Raises ValueError, naming what to change, when r or target_modules does not fit them.

    And ModelError where its weights are packed in a way that the job does not train on.
    """
    check_packed(shape, job)
    if job.method == "full":
        return parts_of(shape, ())
    parts = parts_of(shape, job.target_modules)
    for name, d, k in parts.targets:
        try:
            lora.check_settings(job.r, 1, d, k)
        except ValueError as error:
            sentence = str(error).removesuffix(".")
            raise ValueError(f"{sentence}. That is {name}: or name the layers to adapt without it.") from error
    return parts


def _bytes_held(shape: Shape, parts: Parts, job: Job, lengths: np.ndarray, card: bool) -> np.ndarray:
    """The bytes that a step holds: (moments, kinds, lengths), in the order of tape.MOMENTS and tape.KINDS.

    A few blocks are traced; the others hold what those do.
    """
    fast = not why_plain(shape, job, card)
    if fast and not card:  # attention goes by the length itself
        each = (replace(job, seq=n) for n in lengths.tolist())
        return np.concatenate(
            [
                _all_blocks(parts, lambda blocks: trace(shape, one, blocks, None, card).peaks())  # noqa: B023
                for one in each
            ],
            axis=2,
        )
    of = primes(parts, job, fast)
    summed = min(job.gradient_accumulation_steps, 2)  # how many more makes no difference
    key = replace(job, steps=1, gradient_accumulation_steps=summed, seq=of[1], batch_size=of[0], r=of[2] or job.r)
    held = np.zeros((len(tape.MOMENTS), len(tape.KINDS), len(lengths)))
    for window in [None] if fast or not parts.windows else [WITHIN, BEYOND]:
        these = _where(window, parts, lengths)
        if these.any():
            answers = np.clip(job.batch_size * (lengths[these] - 1), 1, CHUNK)
            sizes = job.batch_size, lengths[these], job.r, answers
            held[:, :, these] = _all_blocks(
                parts,
                lambda blocks: trace(shape, key, blocks, window, card, of).peaks(*sizes),  # noqa: B023
            )
    if _unpacked(shape, parts, job) < parts.experts:  # Unsloth's own base has its experts as Linear layers
        sizes_of = {"base": NF4_BITS / 8 - DTYPES[job.dtype].itemsize, "quantization": SCALE_BITS / 8}
        for kind, size in sizes_of.items():
            held[:, tape.KINDS.index(kind)] += parts.experts * size
    if job.recipe == "unsloth" and job.gradient_checkpointing:
        # blocks' inputs wait in the computer's memory, but for one
        kept, inputs = held[:, tape.KINDS.index("activations")], job.batch_size * lengths * shape.config().hidden_size
        kept -= np.minimum(kept, (parts.blocks - 1) * inputs * DTYPES[job.dtype].itemsize)
    return held


def _unpacked(shape: Shape, parts: Parts, job: Job) -> int:
    """How many numbers of experts stay in 16 bits: all but gpt-oss's by Unsloth, which has a base of its own."""
    packed = job.recipe == "unsloth" and job.method == "qlora" and shape.config().model_type == "gpt_oss"
    return 0 if packed else parts.experts


def _all_blocks(parts: Parts, told: Callable[[int], np.ndarray]) -> np.ndarray:
    """What all blocks hold, of which `told` tells of a few."""
    few, *more = few_and_more(parts)
    held = told(few)
    return held + (told(more[0]) - held) * (parts.blocks - few) / (more[0] - few) if more else held


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


def primes(parts: Parts, job: Job, fast: bool = False) -> tuple[int, int, int, int]:
    """A batch, a length, a rank and a number of answers at once that no size of the model contains.

    Rank 0 where sizes do not simply grow with it; answers 0 where all are at the head at once.
    """

    def first(choices: Sequence[int]) -> int:
        return next((p for p in choices if all(n % p for n in parts.numbers)), 0)

    seq = first([s for s, c in FAST_SEQ.items() if first([c])] if fast else PRIMES["seq"])
    r = 0
    # Moments in 8 bits come in blocks of 256.
    if job.method != "full" and "8bit" not in job.optimizer:
        least = min(min(d, k) for _, d, k in parts.targets)
        r = first([p for p in PRIMES["r"] if p <= least])
    return first(FAST_BATCH if fast else PRIMES["batch"]), seq, r, FAST_SEQ[seq] if fast else 0


@cache
def why_plain(shape: Shape, job: Job, card: bool) -> str:
    """Why `job` trains the plain way, in a few words; empty where it takes the fast path."""
    if job.method == "full" or job.layer != "ours" or not job.fast:  # known without a model
        return ASKED
    job = replace(job, seq=1, batch_size=1, gradient_checkpointing=False, optimizer="adamw")

    def made() -> dict[str, Any]:
        parts = parts_of(shape, job.target_modules)
        blocks = 1 if parts.before < parts.blocks else None  # of a model that cannot be cut, all
        return {"why": way.why_plain(build(shape, job, blocks=blocks, card=card)[0], job, card)}

    why_not: str = once("way", [shape.text, job.counted(), card], ["why"], made)["why"]
    return why_not


@cache
def trace(
    shape: Shape, job: Job, blocks: int, window: int | None, card: bool, of: tuple[int, int, int, int] = (0, 0, 0, 0)
) -> tape.Trace:
    """One training step of `blocks` blocks on the meta device,
    read off by the primes `of` that `job` has (`primes`)."""
    key = [shape.text, job.counted(), job.gradient_accumulation_steps > 1, blocks, window, card, of]

    def made() -> dict[str, Any]:
        return {name: part.tolist() for name, part in _run(shape, job, blocks, window, card, of)._asdict().items()}

    plain_trace = once("trace", key, tape.Trace._fields, made)
    return tape.Trace(**{name: np.array(part) for name, part in plain_trace.items()})


def _run(
    shape: Shape,
    job: Job,
    blocks: int,
    window: int | None,
    card: bool,
    of: tuple[int, int, int, int] = (0, 0, 0, 0),
    batch: Sequence[Encoded] | None = None,
    summed: bool = False,
) -> tape.Trace:
    """A step on `batch`, or on the texts of `job`, by the way that training takes; see `tape.step` for `summed`."""
    model, optimizer = build(shape, job, blocks=blocks, window=window, card=card)
    path = way.taped(model, job, card)
    given: Any
    if path:
        path.chunk = of[3] or path.chunk
        given = path.rows(way.texts(job) if batch is None else batch)
    elif batch is not None:
        given = _rectangle(model, batch)
    else:
        given = dict.fromkeys(
            ("input_ids", "labels"), torch.zeros(job.batch_size, job.seq, dtype=torch.long, device="meta")
        )
    try:
        written = tape.step(model, given, optimizer, path, summed or job.gradient_accumulation_steps > 1)
    except Exception as error:
        kind = shape.config().model_type
        said = "" if isinstance(error, ValueError | TypeError) else f" ({why(error)})"  # Python's own words help nobody
        raise ModelError(
            f"{shape.name}: transformers' code of a {kind} does not run on shapes without weights{said}, so that its "
            "memory cannot be counted. "
            + (others_say(kind)[1] or "The ledger reads decoder-only models such as Llama, Mistral, Qwen and Gemma.")
        ) from error
    read = written.read(of)
    if of[1] and read.lumpy(job.seq):
        raise ModelError(
            f"{shape.name}: this {shape.config().model_type} works through the text in pieces, so that its memory does "
            "not grow evenly with the length and its ledger cannot be read."
        )
    return read
