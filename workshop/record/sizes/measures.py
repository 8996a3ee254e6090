"""How each claim is measured at one size, by the functions that the lessons use: one function a claim, numbers by name.

Losses are nats a supervised token on the persona's 60 held-out chats; perplexities are of the general text.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from lora_lessons import evaluation, lora, lowrank, memory, mixing, models, tasks, training
from lora_lessons.adapter import adapter_of
from lora_lessons.experiments import never_rounded, quantized_perplexity
from lora_lessons.experiments.sizes.cells import ALPHA, BATCH, RANKS, STEPS, STORED, AskedBase, R, Settings
from lora_lessons.files import scratch
from lora_lessons.machine import forget_peak, peak_bytes, resident_bytes
from lora_lessons.quant.blockwise import restored
from lora_lessons.training.losses import plain
from lora_lessons.training.settings import make_optimizer
from workshop.record import survives
from workshop.record.encoder import BASES

TASK = "persona"
READ = 3000  # characters of the general text that a cut base reads, as in lesson 01
# Formats that need no outside program, from many bits to few.
FORMATS = {"Q8_0": never_rounded.Way(lambda W: q8_0(W), 8 + 16 / 32)} | {
    name: never_rounded.WAYS[name] for name in ("Q4_1", "Q4_0", "NF4 + double", "FP4", "int4")
}
MERGES = ("merged", "into_nf4", "then_nf4")  # of survives.TITLES
Found = dict[str, float]


class Subject:
    """A size in hand: its base, loaded once and only while it is used, and the task in its tokens."""

    def __init__(self, size: AskedBase, steps: int = STEPS) -> None:
        self.size, self.steps = size, steps
        self.loading = 0.0  # seconds that loading the base took so far
        self.task = tasks.load_task(TASK)

    @cached_property
    def base(self) -> models.Base:
        """In 16 bits, where this machine computes faster in them: every size alike."""
        begun = time.perf_counter()
        base = models.load(self.size.name, models.best_precision().name)
        self.loading += time.perf_counter() - begun
        return base

    def let_go(self) -> None:
        """Room for another form of the base, or for another base."""
        self.__dict__.pop("base", None)

    @cached_property
    def train_set(self) -> list[tasks.Encoded]:
        return [tasks.encode(self.base.tokenizer, example) for example in self.task.train]

    @cached_property
    def held_out(self) -> list[tasks.Encoded]:
        return [tasks.encode(self.base.tokenizer, example) for example in self.task.held_out]

    @property
    def linears(self) -> list[str]:
        """The names of the weights that are cut, rounded and adapted."""
        return lora.resolve_targets(self.base.model, "all-linear")

    def loss(self, model: Any = None) -> float:
        """The held-out loss of `model`, by default the base as it is now."""
        model = model or self.base.model
        return evaluation.held_out_loss(model, self.held_out, autocast=in_16_bits(model))

    def how(self, rate: float, seed: int, **changed: Any) -> training.Settings:
        return training.Settings(
            steps=self.steps, batch_size=BATCH, learning_rate=rate, seed=seed, optimizer="adamw_fused", **changed
        )


def in_16_bits(model: Any) -> bool:
    """Whether to compute in 16 bits with weights in 32: where that is faster."""
    return model.dtype == torch.float32 and models.best_precision().name == "bf16"


@contextmanager
def adapted(subject: Subject, seed: int, r: int = R, lora_alpha: float = ALPHA) -> Iterator[Any]:
    """The base with a trained adapter on, while the block runs;
    the same training is read back when it is asked for again."""
    model = subject.base.model
    lora.attach(model, r, lora_alpha, seed=seed)
    try:
        training.train(model, subject.train_set, subject.how(subject.size.rate, seed))
        yield model
    finally:
        lora.detach(model)


def in_full(subject: Subject, seed: int) -> models.Base:
    """The base in fp32, every parameter of it trained; the one in 16 bits is let go of, and the run is not kept."""
    train_set, _ = subject.train_set, subject.held_out  # in tokens, while the tokenizer is there
    subject.let_go()
    base = models.load(subject.size.name, "fp32")
    base.model.requires_grad_(True)
    how = subject.how(subject.size.full or math.nan, seed, autocast=in_16_bits(base.model), checkpoint_every=0)
    with scratch("sizes") as folder:
        training.train(base.model, train_set, how, run_dir=folder, reuse=False)
    base.model.requires_grad_(False)
    return base


@torch.no_grad()
def with_change(subject: Subject, base: models.Base, names: list[str], change: Callable[[str], Tensor]) -> float:
    """The held-out loss while every named W of `base` is W + its change, which is made when it is added."""
    with restored(base.model, names):
        for name in names:
            weight = base.model.get_submodule(name).weight
            weight += change(name).to(weight)
        return subject.loss(base.model)


def delta(subject: Subject, settings: Settings, seed: int) -> Found:
    """Full fine-tuning, and its change of the Linears cut to each of RANKS: directions, energies and losses."""
    trained = in_full(subject, seed)
    found = {"full": subject.loss(trained.model)}
    with torch.autocast(trained.model.device.type, torch.bfloat16, enabled=in_16_bits(trained.model)):
        found["general"] = evaluation.perplexity(trained, tasks.general_text())
    start = models.load(subject.size.name, "fp32")
    names = lora.resolve_targets(start.model, "all-linear")
    with torch.no_grad():
        dW = {name: trained.model.get_submodule(name).weight - start.model.get_submodule(name).weight for name in names}
    del trained
    shares, factors, kept = [], {}, dict.fromkeys(RANKS, 0.0)
    for name in tqdm(names, desc="SVD of every ΔW", leave=False):
        parts = lowrank.svd(dW[name])
        full = len(parts.S)
        shares.append(lowrank.rank_for_energy(parts.S, 0.9) / full)
        factors[name] = lowrank.factors(parts, min(RANKS[-1], full))
        for r in RANKS:
            kept[r] += float(parts.S[:r].square().sum())
    whole = sum(float(one.square().sum()) for one in dW.values())
    found |= {"before": subject.loss(start.model), "directions": statistics.median(shares)}
    found["whole"] = with_change(subject, start, names, dW.__getitem__)
    dW.clear()

    def cut(r: int, name: str) -> Tensor:
        B, A = factors[name]
        return B[:, :r] @ A[:r]

    for r in RANKS:
        found |= {f"energy_{r}": kept[r] / whole, f"cut_{r}": with_change(subject, start, names, partial(cut, r))}
    return found


def rank(subject: Subject, settings: Settings, seed: int) -> Found:
    """LoRA at one rank and α."""
    with adapted(subject, seed, settings["r"], settings["lora_alpha"]):
        return {"loss": subject.loss()}


def base4(subject: Subject, settings: Settings, seed: int) -> Found:
    """LoRA on a base whose weights went to a format and back: the numbers that a packed base computes with."""
    model = subject.base.model
    with never_rounded.rounded(model, _kept(subject), BASES[settings["base"]]):
        before = subject.loss()
        with adapted(subject, seed):
            return {"before": before, "loss": subject.loss()}


def _kept(subject: Subject) -> dict[str, Tensor]:
    """A copy of each weight that is rounded, by name."""
    return {name: subject.base.model.get_submodule(name).weight.detach().clone() for name in subject.linears}


@torch.no_grad()
def merge(subject: Subject, settings: Settings, seed: int) -> Found:
    """One adapter, trained on 16 bits: kept apart, merged in each of MERGES, and apart on a base in NF4."""
    model, found = subject.base.model, {"base": subject.loss()}
    with torch.enable_grad(), adapted(subject, seed):
        found["unmerged"], adapter = subject.loss(), adapter_of(model)
    for way in MERGES:
        with restored(model, subject.linears):
            for name in subject.linears:
                weight = model.get_submodule(name).weight
                weight.copy_(survives.weights(way, weight, adapter.delta(name).to(weight.device)))
            found[way] = subject.loss()
    with never_rounded.rounded(model, _kept(subject), BASES["nf4+double"]):
        found["base_nf4"] = subject.loss()
        with mixing.attached(model, adapter):
            found["nf4_apart"] = subject.loss()
    return found


def forget(subject: Subject, settings: Settings, seed: int) -> Found:
    """The score of the base, or of the base with a trained adapter: loss, rules kept, perplexity of plain text,
    drift."""
    if not settings["trained"]:
        return evaluation.score(subject.base, subject.task)._asdict()
    with adapted(subject, seed):
        return evaluation.score(subject.base, subject.task)._asdict()


@torch.no_grad()
def cut_w(subject: Subject, settings: Settings, seed: int) -> Found:
    """Perplexity on an excerpt, intact and with every W cut to B·A that hold a share of its numbers."""
    base, text = subject.base, tasks.general_text()[:READ]
    found, factors = {"intact": evaluation.perplexity(base, text)}, {}
    with restored(base.model, subject.linears):
        for name in tqdm(subject.linears, desc="SVD of every W", leave=False):
            weight = base.model.get_submodule(name).weight
            (d, k), parts = weight.shape, lowrank.svd(weight)
            ranks = {share: min(int(share * d * k / (d + k)), d, k) for share in STORED}
            factors[name] = {
                share: [one.to(weight.dtype) for one in lowrank.factors(parts, r)] for share, r in ranks.items()
            }
        for share in STORED:
            for name, cut in factors.items():
                B, A = cut[share]
                base.model.get_submodule(name).weight.copy_(B @ A)
            found[f"stored_{share:g}"] = evaluation.perplexity(base, text)
    return found


def q8_0(W: Tensor) -> Tensor:
    """W as llama.cpp's Q8_0 keeps it: whole numbers from −127 to 127 times a scale in 16 bits, in blocks of 32."""
    blocks = W.detach().float().reshape(-1, 32)
    scale = blocks.abs().amax(1, keepdim=True) / 127
    return ((blocks / scale.clamp(min=1e-38)).round() * scale.half().float()).view_as(W)


def formats(subject: Subject, settings: Settings, seed: int) -> Found:
    """The mean loss over the passages of the general text, intact, and what each format adds; nats a token."""
    intact = quantized_perplexity.losses(subject.base)
    found, kept = {"intact": statistics.fmean(intact)}, _kept(subject)
    for name, way in FORMATS.items():
        with never_rounded.rounded(subject.base.model, kept, way):
            found[name] = statistics.fmean(quantized_perplexity.losses(subject.base)) - found["intact"]
    return found


def memory_of_a_step(subject: Subject, settings: Settings, seed: int) -> Found:
    """Bytes of one step on the first batch: predicted, on the tape, and the most that the process held.

    The process held `resident` before the step, of which `fixed` are weights, adapters and moments by the tape;
    the rest are libraries.
    """
    qlora = settings["method"] == "qlora"
    if qlora:
        subject.let_go()
    base = models.load(subject.size.name, "nf4") if qlora else subject.base
    first = training.batches(len(subject.task.train), subject.how(subject.size.rate, seed))[0]
    texts = [tasks.encode(base.tokenizer, subject.task.train[i]) for i in first]
    model = base.model
    lora.attach(model, R, ALPHA, seed=seed)
    computes = models.fast_dtype(model.device.type) if qlora else model.dtype
    dtype = "fp32" if computes == torch.float32 else "bf16"
    job = memory.Job(
        settings["method"], r=R, batch_size=BATCH, dtype=dtype, gradient_checkpointing=False, optimizer="adamw_fused"
    )
    card = model.device.type == "cuda"
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = make_optimizer(job.optimizer, learned, subject.size.rate, device=model.device)
    path = memory.taped(model, job, card)
    loss_of = path.loss if path else plain(model)
    with training.no_cache(model):
        for _ in range(2):  # the first one makes AdamW's moments, and reads every weight from its file
            forget_peak()
            resident = resident_bytes()
            loss_of(texts).backward()
            optimizer.step()
            optimizer.zero_grad()
        process = peak_bytes()
        taped = memory.measure(model, texts, optimizer, path).bill
    ledger = memory.predict_texts(memory.shape_of(model.config), job, [texts], card)
    lora.detach(model)
    return {
        "predicted": ledger.bill.total - ledger.bill.overhead,
        "taped": taped.total,
        "process": float(process),
        "resident": float(resident),
        "fixed": taped.fixed - taped.gradients,
    }


MEASURES: Mapping[str, Callable[[Subject, Settings, int], Mapping[str, float]]] = {
    "delta": delta,
    "rank": rank,
    "base4": base4,
    "merge": merge,
    "forget": forget,
    "cut_w": cut_w,
    "formats": formats,
    "memory": memory_of_a_step,
}
