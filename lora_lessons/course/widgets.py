"""The lessons' widgets. Each is a `…_scene` that works everything out, a `…_still` that draws it, and controls over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from math import log2
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from .. import lora, lowrank, memory, models, plan, quant
from . import sweep
from .figures import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, label
from .pictures import BILL_COLORS, bill_parts
from .stage import Backdrop, Scene, Stage, choice, number, slider


def whole(name: str, value: Any) -> int:
    """`value` as typed, if it is a whole number. Raises ValueError with what to type instead."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value % 1:
        raise ValueError(f"{name} is a whole number such as 8; got {value!r}.")
    return int(value)


# ---- lessons 00 and 08: will it fit ----

LENGTHS = sorted({round(2 ** (n / 4)) for n in range(4 * 5, 4 * 17 + 1)})  # tokens: 32 … 131,072
ON = {"on": True, "off": False}


def fit_bill(model: str, method: str, r: int = 8) -> memory.Bill:
    """The fixed part of training a 7B shape by one of memory.METHODS, LoRA of rank r on all linear layers.

    Raises ValueError with what to change when the model, the method or r cannot be.
    """
    parameters, linears = _counts(model)
    for d, k in linears:
        lora.check_settings(r, 1, d, k)
    trainable = sum(lowrank.stored_numbers(d, k, r) for d, k in linears)
    return memory.state(parameters, method, trainable, parameters - sum(d * k for d, k in linears))


@cache
def _counts(model: str) -> tuple[int, tuple[tuple[int, int], ...]]:
    """A shape's number of parameters, and the (d, k) of every linear layer that LoRA and NF4 reach."""
    net = models.shape(model)
    weights = (net.get_parameter(f"{name}.weight") for name in lora.resolve_targets(net, "all-linear"))
    linears = tuple((weight.shape[0], weight.shape[1]) for weight in weights)
    return sum(p.numel() for p in net.parameters()), linears


def fit_ledgers(
    model: str, method: str, r: int, batch: int, checkpointing: str, lengths: Sequence[int]
) -> list[plan.Ledger]:
    """The plan's ledger of a training step on a card, for each length in `lengths`.

    Raises ValueError with what to change when a setting cannot be.
    """
    if model not in models.SHAPES:
        raise ValueError(f"no shape is named {model!r}: choose from {', '.join(models.SHAPES)}.")
    if method not in memory.METHODS:
        raise ValueError(f"method {method!r} is not known: choose one of {', '.join(memory.METHODS)}.")
    tokens = [whole("sequence length", length) for length in lengths]
    job = plan.Job(
        method, whole("rank r", r), batch=whole("batch", batch), seq=tokens[-1], checkpointing=ON[checkpointing]
    )
    for length in tokens:
        replace(job, seq=length)  # refuses one that cannot be
    return plan.ledgers(model, job, tokens)


def fit_words(model: str, method: str, card: str, r: int, batch: int, checkpointing: str, seq: int) -> str:
    """The bill, whether it fits, and how long a text would: sentences."""
    scene = fit_scene(model, method, card, r, batch, checkpointing, seq)
    return scene.words[scene.stops.index(seq)]


def _fit_words(card: str, about: str, ledger: plan.Ledger, longest: int) -> str:
    room, total = memory.card_bytes(card), ledger.bill.total
    parts = [f"{name} {part / memory.GB:.1f}" for name, part in bill_parts(ledger.bill).items() if part >= 5e7]
    left = (room - total) / memory.GB
    fits = f"It fits, and {left:.1f} GB are free" if left >= 0 else f"It does not fit: {-left:.1f} GB are missing"
    length = f"the longest text that fits is {longest:,} tokens" if longest else "not even 32 tokens fit"
    return (
        f"{about}: {total / memory.GB:.1f} GB at the fullest moment, {plan.SAID[ledger.moment]} ({', '.join(parts)}). "
        f"{card} holds {room / memory.GB:.1f} GB. {fits}; of the lengths here, {length}."
    )


@cache
def _fit_backdrop(card: str, width: float) -> tuple[Backdrop, Any]:
    """One row for each part of a bill and one for their sum, before the room of a card; `width` GB across."""
    room = memory.card_bytes(card) / memory.GB
    figure = Figure(figsize=(8.4, 3.5))
    ax = figure.subplots()
    names = [*BILL_COLORS, "all together"]
    ax.set(xlim=(0, width), ylim=(len(names) - 0.4, -0.6))
    ax.set_yticks(range(len(names)), names)
    for tick, color in zip(ax.get_yticklabels(), (*BILL_COLORS.values(), "black"), strict=True):
        tick.set(color=GREY if color in (SKY, BILL_COLORS["driver, slack"]) else color, weight="bold")
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_formatter("{x:g} GB")
    ax.grid(axis="y", visible=False)
    ax.set_title(" ")  # keeps the room where the verdict stands
    ax.axvspan(0, room, color=SKY, alpha=0.18, lw=0)
    ax.axvline(room, color=BLUE, lw=2)
    label(ax, room, -0.35, f"{card}: {room:.1f} GB", BLUE)
    return Backdrop(figure), ax


def fit_scene(model: str, method: str, card: str, r: int, batch: int, checkpointing: str, seq: int) -> Scene:
    """The bill of one training step part by part, each bar beginning where the last one ends, for every length.

    Lengths are those of LENGTHS and `seq`. Raises ValueError with what to change when a setting cannot be.
    """
    room = memory.card_bytes(card) / memory.GB
    stops = sorted({*LENGTHS, whole("sequence length", seq)})
    ledgers = fit_ledgers(model, method, r, batch, checkpointing, stops)
    totals = [ledger.bill.total / memory.GB for ledger in ledgers]
    width = room * next((w for w in (1.5, 3, 6, 12) if w * room >= 1.15 * totals[0]), 24)
    backdrop, ax = _fit_backdrop(card, width)
    longest = max((n for n, total in zip(stops, totals, strict=True) if total <= room), default=0)
    jobs = (plan.Job(method, r, seq=n, batch=batch, checkpointing=ON[checkpointing]) for n in stops)
    words = [_fit_words(card, f"{model}, {plan.describe(job)}", ledger, longest)
             for job, ledger in zip(jobs, ledgers, strict=True)]  # fmt: skip
    scene = Scene(backdrop, stops, words)
    left = [0.0] * len(stops)
    for row, (name, color) in enumerate(BILL_COLORS.items()):
        sizes = [bill_parts(ledger.bill)[name] / memory.GB for ledger in ledgers]
        ends = [x + size for x, size in zip(left, sizes, strict=True)]
        starts, stops_at = ([min(x, width) for x in edge] for edge in (left, ends))
        widths = [b - a for a, b in zip(starts, stops_at, strict=True)]
        scene.bar(ax, starts, row - 0.36, widths, 0.72, color)
        scene.bar(ax, starts, len(BILL_COLORS) - 0.36, widths, 0.72, color)
        _bar_end(scene, ax, width, row, ends, [f"{size:.1f} GB" if size >= 0.05 else "" for size in sizes])
        left = ends
    _bar_end(scene, ax, width, len(BILL_COLORS), left, [f"{total:.1f} GB" for total in totals])
    verdicts = [_fits(room, total) for total in totals]
    scene.text(ax, 0, -1.0, verdicts, [GREEN if total <= room else VERMILION for total in totals], size=12)
    return scene


def _fits(room: float, total: float) -> str:
    return f"fits: {room - total:.1f} GB free" if total <= room else f"does not fit: {total - room:.1f} GB missing"


def _bar_end(scene: Scene, ax: Any, width: float, row: int, ends: Sequence[float], texts: Sequence[str]) -> None:
    """A size behind the end of its bar; at the edge, where the bar goes on beyond it, with an arrow."""
    places = [min(end + 0.008 * width, 0.86 * width) for end in ends]
    scene.text(ax, places, row, [f"{text} →" if text and end > width else text
                                 for text, end in zip(texts, ends, strict=True)], "black")  # fmt: skip


def fit_still(
    model: str, method: str, card: str, r: int, batch: int, checkpointing: str, seq: int
) -> tuple[Figure, str]:
    """The picture of `fit_scene` at length `seq`, and its sentences."""
    return fit_scene(model, method, card, r, batch, checkpointing, seq).still(seq)


FIT = {
    "model": "Llama-2-7B", "method": "qlora", "card": "RTX 4090", "r": 8, "batch": 1, "checkpointing": "on", "seq": 1024,
}  # fmt: skip


def fit() -> Stage:
    """Choose model, method, card, rank, batch and checkpointing, and slide the length of the text."""
    controls = [
        choice("model", "model", list(models.SHAPES)), choice("method", "method", memory.METHODS),
        choice("card", "card", list(memory.CARDS)), slider("r", "rank r", [1, 2, 4, 8, 16, 32, 64, 128, 256]),
        slider("batch", "batch (sequences)", [1, 2, 4, 8, 16, 32]), choice("checkpointing", "checkpointing", list(ON)),
        slider("seq", "length (tokens)"),
    ]  # fmt: skip
    return Stage(fit_scene, "seq", controls, **FIT)


# ---- lesson 01: rank explorer ----

SHOWN = 460  # entries a side in the picture; of a larger matrix every second (third …) row or column is shown


def rank_explorer_scene(W: Tensor, r: int, name: str) -> Scene:
    """W (d×k) cut to each rank as a picture, beside its energy curve with the rank and break-even marked.

    Raises ValueError when r is outside 1 … min(d, k).
    """
    parts, (d, k) = lowrank.svd(W), W.shape
    full = len(parts.S)
    lowrank.factors(parts, whole("rank r", r))
    kept, even = lowrank.energy(parts.S).tolist(), lowrank.break_even_rank(d, k)
    image = bool(W.min() >= 0)  # a photograph is 0 (black) … 1; weights lie on both sides of 0
    top = 1.0 if image else 3 * float(W.std())
    figure = Figure(figsize=(8.4, 3.9))
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    left.set_title(" ")
    left.spines[:].set_visible(False)
    stops = range(1, full + 1)
    right.plot(stops, kept, color=BLUE)
    right.axvline(even, color=GREY, ls="--", lw=1.2)
    label(right, even, 0.04, "nothing saved →", GREY)
    right.set(xlabel="rank r", ylim=(0, 1.03), xlim=(0, full * 1.02), title="share of energy kept")
    scene = Scene(Backdrop(figure), list(stops), [_rank_words(W, stop, kept[stop - 1]) for stop in stops])
    B, A = lowrank.factors(parts, full)
    scene.product(
        left, B[:: -(-d // SHOWN)], A[:, :: -(-k // SHOWN)], "gray" if image else "RdBu_r", 0.0 if image else -top, top
    )
    scene.text(left, 0, 1.05, [f"{name}, rank {stop} of {full}" for stop in stops], "black")
    scene.dot(right, list(stops), kept, VERMILION)
    return scene


def _rank_words(W: Tensor, r: int, kept: float) -> str:
    """Energy kept, relative error (its missing part is what the error squared is), numbers stored, break-even rank."""
    d, k = W.shape
    stored = lowrank.stored_numbers(d, k, r)
    return (
        f"Rank {r}: kept energy {kept:.1%}, relative error {max(0.0, 1 - kept) ** 0.5:.3f}. "
        f"B and A hold {stored:,} numbers, {stored / (d * k):.0%} of W's {d * k:,}. "
        f"Break-even rank: {lowrank.break_even_rank(d, k)}."
    )


def rank_explorer_still(W: Tensor, r: int, name: str) -> tuple[Figure, str]:
    """The picture of `rank_explorer_scene` at rank r, and its sentence."""
    return rank_explorer_scene(W, r, name).still(r)


def rank_explorer(matrices: Mapping[str, Tensor], r: int = 20) -> Stage:
    """A choice of matrix and a slider for r; a rank that the matrix cannot have is answered with those it can."""
    first = next(iter(matrices))
    controls = [choice("name", "matrix", list(matrices)), slider("r", "rank r")]
    return Stage(lambda name, r: rank_explorer_scene(matrices[name], r, name), "r", controls, name=first, r=r)


# ---- lesson 02: layer anatomy ----


def layer_anatomy_scene(d: int, k: int, r: int, lora_alpha: float) -> Scene:
    """W (d×k), B (d×r) and A (r×k) drawn to one scale for every rank up to 512, with what they cost.

    Raises ValueError with what to change when the sizes or settings cannot work.
    """
    layer_anatomy_words(d, k, r, lora_alpha)
    stops = sorted({*range(1, min(d, k, 512) + 1), r})
    figure = Figure(figsize=(8.4, 3.3))
    figure.set_layout_engine("none")
    ax = figure.add_axes((0.01, 0.01, 0.98, 0.88))
    gap = 0.22 * max(d, k)
    left_B = k + 2 * gap
    left_A = [left_B + stop + 1.5 * gap for stop in stops]
    ax.set(xlim=(-gap / 4, left_A[-1] + k + gap / 4), ylim=(-0.75 * gap, d + gap / 8), aspect="equal", anchor="W")
    ax.axis("off")
    ax.add_patch(Rectangle((0, 0), k, d, edgecolor=GREY, facecolor="#dfe1e3", lw=0.8))
    label(ax, k / 2, 0, f"W (frozen)\n{d:,}×{k:,}", GREY, xytext=(0, -5), ha="center", va="top")
    figure.text(0.02, 0.93, "h = W·x + α/r · B·(A·x), areas to one scale", weight="bold")
    scene = Scene(Backdrop(figure), stops, [layer_anatomy_words(d, k, stop, lora_alpha) for stop in stops])
    scene.text(ax, k + gap, d / 2, [f"+ {lora.scale(stop, lora_alpha):.3g} ×" for stop in stops], "black", ha="center")
    scene.bar(ax, left_B, 0, stops, d, BLUE)
    scene.bar(ax, left_A, [d - stop for stop in stops], k, stops, ORANGE)
    foot = -0.1 * gap
    scene.text(
        ax,
        [left_B + stop / 2 for stop in stops],
        foot,
        [f"B\n{d:,}×{stop:,}" for stop in stops],
        BLUE,
        ha="center",
        va="top",
    )
    scene.text(ax, [x + k / 2 for x in left_A], [d - stop + foot for stop in stops],
               [f"A\n{stop:,}×{k:,}" for stop in stops], "#8a5f00", ha="center", va="top")  # fmt: skip
    return scene


def layer_anatomy_words(d: int, k: int, r: int, lora_alpha: float) -> str:
    """The scene's numbers in sentences: counts, share, bytes in 16-bit, FLOPs of one token's forward pass.

    Raises ValueError with what to change when the sizes or settings cannot work.
    """
    if min(whole("d", d), whole("k", k)) < 1:
        raise ValueError(f"a weight is d×k with d and k of at least 1; got {d}×{k}.")
    lora.check_settings(r, lora_alpha, d, k)
    frozen, trained = d * k, lowrank.stored_numbers(d, k, r)
    return (
        f"W holds {frozen:,} numbers, A and B together {trained:,}: {trained / frozen:.2%} of W. "
        f"In 16-bit that is {2 * trained / 1e3:,.1f} kB beside {2 * frozen / 1e3:,.1f} kB. "
        f"Forward, one token: {2 * frozen / 1e6:,.2f} MFLOP through W, {2 * trained / 1e6:,.3f} MFLOP through A and B. "
        f"Scale: α/r = {lora.scale(r, lora_alpha):.3g}."
    )


def layer_anatomy_still(d: int, k: int, r: int, lora_alpha: float) -> tuple[Figure, str]:
    """The picture of `layer_anatomy_scene` at rank r, and its sentences."""
    return layer_anatomy_scene(d, k, r, lora_alpha).still(r)


def layer_anatomy() -> Stage:
    """Move r, type d, k and α; impossible values are answered with what to change."""
    controls = [number("d", "d (outputs)"), number("k", "k (inputs)"), slider("r", "rank r"), number("lora_alpha", "α")]
    return Stage(layer_anatomy_scene, "r", controls, d=1536, k=576, r=8, lora_alpha=16)


# ---- lesson 05: effective-scale lab ----

REFERENCE = (8, 16.0)  # the r and alpha that a fair fight holds to: lesson 03's
FAIR = ("off: α as set", "same scale", "same push")
RATES = (0.001, 0.002, 0.004, 0.008, 0.016)


class Measured(NamedTuple):
    """A setting of the recorded sweep over its seeds."""

    r: int
    scale: float
    learning_rate: float
    loss: sweep.Summary
    update: float  # ‖ΔW‖/‖W‖, mean over seeds
    curve: tuple[float, ...]  # training loss by step, mean over seeds

    @property
    def push(self) -> float:
        """Scale × r, which in LoRA is α: how hard AdamW's first steps push the loss down (lesson 05, section 1)."""
        return self.scale * self.r


def measured(table: Path | None = None) -> tuple[Measured, ...]:
    """LoRA and rsLoRA on all linear layers in the recorded sweep (or another table of `lora-lessons sweep`).

    At one scale the two are one and the same training, so they are not told apart. Raises ValueError where no setting
    has two seeds.
    """
    table = table or sweep.recorded()
    if found := _measured(table, table.stat().st_mtime_ns if table.is_file() else 0):
        return found
    raise ValueError(f"{table.name}: no setting of LoRA on all linear layers has two seeds; sweep with --seeds 3.")


@cache
def _measured(table: Path, _: int) -> tuple[Measured, ...]:
    rows = [row for row in sweep.read_table(table) if row["method"] in ("lora", "rslora")]
    groups = sweep.by_setting(row for row in rows if row["target_modules"] == "all-linear").items()
    return tuple(
        Measured(
            setting.r, runs[0]["scale"], setting.learning_rate, sweep.summary([run["loss_held_out"] for run in runs]),
            fmean(run["update_relative"] for run in runs),
            tuple(fmean(step) for step in zip(*(run["train_losses"] for run in runs), strict=True)),
        )
        for setting, runs in groups if len(runs) > 1
    )  # fmt: skip


def nearest(r: int, scale: float, learning_rate: float, among: Sequence[Measured]) -> tuple[Measured, bool]:
    """The measured setting nearest in doublings of rank, scale and learning rate, and whether it is this very one."""

    def doublings(m: Measured) -> float:
        pairs = ((r, m.r), (scale, m.scale), (learning_rate, m.learning_rate))
        return sum(abs(log2(here / there)) for here, there in pairs)

    best = min(among, key=doublings)
    return best, doublings(best) < 0.01


class _Lab(NamedTuple):
    """The lab's backdrop, its two axes, and where on the left one a measured setting stands."""

    backdrop: Backdrop
    left: Any
    right: Any
    place: Callable[[Measured], tuple[float, float]]


def _lab(table: Path | None) -> _Lab:
    return _lab_of(measured(table))


@cache
def _lab_of(every: tuple[Measured, ...]) -> _Lab:
    """Every measured setting as its rank, above its push, coloured by learning rate; and every loss curve, in grey."""
    figure = Figure(figsize=(8.8, 3.9))
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    ranks, losses = sorted({m.r for m in every}), sorted(m.loss.mean for m in every)
    low, high = losses[0], min(losses[-1], losses[0] + 2 * (losses[3 * len(losses) // 4] - losses[0]) + 0.01)

    def place(m: Measured) -> tuple[float, float]:
        """Ranks of one push stand side by side, lowest left; what lies too high stands at the upper edge."""
        return m.push * 1.2 ** (ranks.index(m.r) - (len(ranks) - 1) / 2), min(m.loss.mean, high)

    rates = sorted({m.learning_rate for m in every})
    colors = dict(zip(rates, (BLUE, "black", PURPLE) if len(rates) > 2 else ("black", PURPLE), strict=False))
    for m in every:
        (x, y), color = place(m), colors.get(m.learning_rate, GREY)
        left.plot([x, x], [m.loss.low, m.loss.high], color=color, lw=1, alpha=0.25)
        text = f"{m.r}" if m.loss.mean <= high else f"{m.r}↑\n{m.loss.mean:.2f}"
        left.text(x, y, text, color=color, weight="bold", size=9.5, ha="center", va="center")
        right.plot(range(1, len(m.curve) + 1), m.curve, color="#d0d4d8", lw=1)
    for n, rate in enumerate(rates if len(rates) > 1 else ()):
        left.text(
            0.02,
            0.06 + 0.075 * n,
            f"■ learning rate {rate:g}",
            color=colors.get(rate, GREY),
            size=9,
            transform=left.transAxes,
        )
    pushes = sorted({m.push for m in every})
    ticks = [2.0**n for n in range(-8, 16) if pushes[0] <= 2.0**n <= pushes[-1]]
    left.set(
        xscale="log",
        xlim=(pushes[0] / 2, pushes[-1] * 2),
        ylim=(low - 0.12 * (high - low), high + 0.3 * (high - low)),
    )
    left.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    left.minorticks_off()
    left.set(
        xlabel="push: scale × r, in LoRA this is α (log)",
        ylabel="held-out loss (nats)",
        title="Each number: a measured rank r",
    )
    right.set(xlabel="step", title="Training loss (nats)")
    return _Lab(Backdrop(figure), left, right, place)


def scale_lab_scene(
    method: str, r: int, lora_alpha: float, learning_rate: float, fair: str = FAIR[0], table: Path | None = None
) -> Scene:
    """Where a setting lies among the measured ones, for every rank; the nearest of them is ringed, and said to be so.

    In a fair fight α follows the rank, so that the scale, or the push, stays REFERENCE's. Raises ValueError for what
    cannot be.
    """
    if method not in ("LoRA", "rsLoRA") or fair not in FAIR:
        raise ValueError(f"method is LoRA or rsLoRA, fair one of {', '.join(FAIR)}; got {method!r} and {fair!r}.")
    lora.check_settings(whole("rank r", r), lora_alpha, 576, 576)
    if not isinstance(learning_rate, (int, float)) or not 0 < learning_rate < 1:
        raise ValueError(f"a learning rate lies between 0 and 1, such as 0.004; got {learning_rate!r}.")
    every = measured(table)
    stops = sorted({m.r for m in every} | {r})
    over = [1 / lora.scale(stop, 1, use_rslora=method == "rsLoRA") for stop in stops]  # what divides α
    r0, alpha0 = REFERENCE
    held = {FAIR[1]: [alpha0 / r0] * len(stops), FAIR[2]: [alpha0 / stop for stop in stops]}
    scales = held.get(fair, [lora_alpha / below for below in over])
    alphas = [scale * below for scale, below in zip(scales, over, strict=True)]
    found = [nearest(stop, scale, learning_rate, every) for stop, scale in zip(stops, scales, strict=True)]
    words = [
        f"{method}, r = {stop}, α = {alpha:.4g}, learning rate {learning_rate:g}: scale α/{'√r' if method == 'rsLoRA' else 'r'} = {scale:.3g}. "
        + _measured_words(*near)
        for stop, alpha, scale, near in zip(stops, alphas, scales, found, strict=True)
    ]
    lab = _lab(table)
    scene = Scene(lab.backdrop, stops, words, locked=["lora_alpha"] if fair in held else [])
    colors, (bottom, top) = [VERMILION if exact else GREY for _, exact in found], lab.left.get_ylim()
    pushes = [scale * stop for scale, stop in zip(scales, stops, strict=True)]
    below_words = bottom + 0.9 * (top - bottom)
    scene.line(lab.left, [[push, push] for push in pushes], [[bottom, below_words]] * len(stops), SKY)
    places = [lab.place(m) for m, _ in found]
    scene.dot(lab.left, [x for x, _ in places], [y for _, y in places], colors, size=20, hollow=True)
    scene.line(lab.right, [range(1, len(m.curve) + 1) for m, _ in found], [m.curve for m, _ in found], VERMILION)
    said = ["measured" if exact else "nearest measured" for _, exact in found]
    numbers = zip(scales, pushes, said, found, strict=True)
    corner = [f"scale {scale:.3g}, push {push:.3g}; {word}: r = {m.r}" for scale, push, word, (m, _) in numbers]
    _corner(scene, lab.left, corner, colors)
    beside = [
        f"{word}:\nheld-out {m.loss.mean:.3f}\n‖ΔW‖/‖W‖ {m.update:.2%}"
        for word, (m, _) in zip(said, found, strict=True)
    ]
    _corner(scene, lab.right, beside, colors)
    return scene


def _corner(scene: Scene, ax: Any, text: Sequence[str], color: Sequence[str]) -> None:
    """Words in the upper right corner of `ax`, whatever its axes show."""
    ax.get_ylim()  # settles the limits
    x, y = (ax.transAxes + ax.transData.inverted()).transform((0.98, 0.97))
    scene.text(ax, x, y, text, color, ha="right", va="top")


def _measured_words(m: Measured, exact: bool) -> str:
    where = (
        "Measured"
        if exact
        else f"Not measured. The nearest that was: r = {m.r}, scale {m.scale:.3g}, learning rate {m.learning_rate:g}"
    )
    return (
        f"{where}: held-out loss {m.loss.mean:.3f} nats (95% interval {m.loss.low:.2f} to {m.loss.high:.2f}, "
        f"{m.loss.seeds} seeds), ‖ΔW‖/‖W‖ {m.update:.2%}."
    )


def scale_lab_still(
    method: str, r: int, lora_alpha: float, learning_rate: float, fair: str = FAIR[0], table: Path | None = None
) -> tuple[Figure, str]:
    """The picture of `scale_lab_scene` at rank r, and its sentences."""
    return scale_lab_scene(method, r, lora_alpha, learning_rate, fair, table).still(r)


def scale_lab(table: Path | None = None) -> Stage:
    """Move r, α and the learning rate, as LoRA or rsLoRA, and hold the scale or the push for a fair fight."""
    every = measured(table)
    controls = [
        choice("method", "method", ["LoRA", "rsLoRA"]), slider("r", "rank r"),
        slider("lora_alpha", "α", [1, 2, 4, 8, 16, 32, 64, 128]),
        slider("learning_rate", "learning rate", sorted({*RATES, *(m.learning_rate for m in every)})),
        choice("fair", "fair fight", FAIR),
    ]  # fmt: skip
    compose = partial(scale_lab_scene, table=table)
    return Stage(compose, "r", controls, method="LoRA", r=8, lora_alpha=16, learning_rate=0.004, fair=FAIR[0])


# ---- lesson 06: codebook bench ----

BLOCKS = ("32", "64", "128", "256", "1024", "4096")
BENCH = 4096  # weights on the bench: one block at the most, 128 at the least
OUTLIERS = (0, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # sizes of the outlier in standard deviations; 0 is none
PLACE = 17  # where in the first block it stands


class Bench(NamedTuple):
    """What became of the weights on the bench, all in units of their standard deviation."""

    weights: Tensor  # (BENCH,), the outlier among them
    back: Tensor  # (BENCH,), what 4 bits gave back
    near: float  # relative error of the outlier's block, the outlier itself left out
    far: float | None  # of all other blocks; None where there is no other
    used: int  # levels that occur in the outlier's block


def codebook_bench_run(W: Tensor, codebook: str, blocksize: int, outlier: float) -> Bench:
    """The first BENCH weights of W, one of them made `outlier` standard deviations large (0: left alone), to 4 bits and back.

    Raises ValueError where W is too small, or a setting cannot be.
    """
    if W.numel() < BENCH:
        raise ValueError(f"the bench holds {BENCH:,} weights, and this matrix has {W.numel():,}: choose a larger one.")
    weights = W.detach().reshape(-1)[:BENCH].float().cpu().clone()
    if not weights.std() > 0:
        raise ValueError(
            "all weights on the bench are equal: without a spread there is nothing to round. Choose another matrix."
        )
    weights /= weights.std()
    if outlier:
        weights[PLACE] = outlier
    q = quant.quantize(weights, codebook, blocksize)
    back, others = quant.dequantize(q), torch.arange(BENCH) != PLACE
    block = torch.arange(BENCH) < blocksize

    def error(where: Tensor) -> float:
        return float((weights - back)[where].norm() / weights[where].norm())

    far = error(~block) if blocksize < BENCH else None
    used = len(quant.unpack(q.packed)[:blocksize].unique())
    return Bench(weights, back, error(block & others), far, used)


@cache
def _bench() -> tuple[Backdrop, Any, Any]:
    figure = Figure(figsize=(8.8, 4.0))
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    left.plot([-4, 4], [-4, 4], color="#b9bec3", lw=1)
    label(left, 4, 3.8, "nothing lost", GREY, xytext=(-4, -14), ha="right")
    left.set(xlim=(-4.2, 4.2), ylim=(-4.2, 4.2), xlabel="weight (standard deviations)", ylabel="what came back")
    left.set_title("Where each weight falls")
    right.set(xlim=(0, 1.55), ylim=(1.6, -0.85), xlabel="relative error (1: all is lost)")
    names = right.set_yticks([0, 1], ["the first block,\nthe outlier's", "all other\nblocks"])
    for name, color in zip(names, (VERMILION, BLUE), strict=True):
        name.label1.set(color=color, weight="bold")
    right.set_title("How far off they are")
    right.grid(axis="y", visible=False)
    return Backdrop(figure), left, right


def codebook_bench_scene(weights: Tensor, codebook: str, blocksize: str | int, outlier: float) -> Scene:
    """Each weight against what 4 bits give back, for every size of one outlier; red are its block's, blue all others.

    Raises ValueError with what to change when a setting cannot be.
    """
    if str(blocksize) not in BLOCKS:
        raise ValueError(f"the bench has blocks of {', '.join(BLOCKS)}; got {blocksize!r}.")
    blocksize = int(blocksize)
    if not isinstance(outlier, (int, float)) or isinstance(outlier, bool) or not 0 <= outlier <= 1000:
        raise ValueError(f"the outlier is a size in standard deviations, 0 (none) to 1000; got {outlier!r}.")
    stops = sorted({*OUTLIERS, outlier})
    runs = [codebook_bench_run(weights, codebook, blocksize, stop) for stop in stops]
    backdrop, left, right = _bench()
    scene = Scene(
        backdrop, stops, [_bench_words(run, codebook, blocksize, stop) for run, stop in zip(runs, stops, strict=True)]
    )
    drawn = [i for i in (*range(BENCH - 1, 0, -64), *range(0, blocksize, max(1, blocksize // 64))) if i != PLACE]
    for i in dict.fromkeys(drawn):
        color = VERMILION if i < blocksize else BLUE
        scene.dot(left, float(runs[0].weights[i]), [float(run.back[i]) for run in runs], color, size=4)
    near, far = [run.near for run in runs], [run.far for run in runs]
    for y, color, errors, count in ((0, VERMILION, near, blocksize), (1, BLUE, far, BENCH - blocksize)):
        widths = [error or 0.0 for error in errors]
        scene.bar(right, 0, y - 0.25, widths, 0.5, color)
        texts = ["there are none" if error is None else f"{error:.0%} of {count:,} weights" for error in errors]
        scene.text(right, [width + 0.03 for width in widths], y, texts, color, size=12)
    levels = len(quant.levels(codebook))
    scene.text(right, 0, -0.55, [f"{run.used} of {levels} levels in use there" for run in runs], VERMILION, size=10)
    return scene


def _bench_words(run: Bench, codebook: str, blocksize: int, outlier: float) -> str:
    what = f"One weight is made {outlier:g} standard deviations large." if outlier else "No outlier is put in."
    what_else = f"the outlier left out ({blocksize - 1:,} neighbours)" if outlier else f"{blocksize:,} weights"
    far = "" if run.far is None else f" In all other blocks: {run.far:.1%}."
    return (
        f"{codebook.upper()}, blocks of {blocksize}, {quant.bits_per_parameter(blocksize):.4g} bits a parameter. {what} "
        f"Relative error of its {'block' if outlier else 'first block'}, {what_else}: {run.near:.1%}, with {run.used} of {len(quant.levels(codebook))} levels in use.{far}"
    )


def codebook_bench_still(weights: Tensor, codebook: str, blocksize: str | int, outlier: float) -> tuple[Figure, str]:
    """The picture of `codebook_bench_scene` at one size of the outlier, and its sentences."""
    return codebook_bench_scene(weights, codebook, blocksize, outlier).still(outlier)


def codebook_bench(matrices: Mapping[str, Tensor]) -> Stage:
    """Choose weights, codebook and block size; the slider makes one weight an outlier."""
    controls = [
        choice("weights", "weights", list(matrices)), choice("codebook", "codebook", quant.CODEBOOKS),
        choice("blocksize", "block size", BLOCKS), slider("outlier", "outlier"),
    ]  # fmt: skip

    def compose(weights: str, codebook: str, blocksize: str, outlier: float) -> Scene:
        return codebook_bench_scene(matrices[weights], codebook, blocksize, outlier)

    return Stage(compose, "outlier", controls, weights=next(iter(matrices)), codebook="nf4", blocksize="64", outlier=0)
