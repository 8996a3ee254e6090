"""The lessons' pictures: plain functions from numbers to a Figure, so that notebook cells stay about the idea."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from torch import Tensor

from .. import evaluation, lowrank, memory
from ..files import course_root
from .figures import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, label

# ---- lesson 00 ----


def number_formats(parameters: int, bits: Mapping[str, float]) -> Figure:
    """What the same `parameters` numbers take in GB, one bar a format; `bits` is the size of one number by format."""
    figure = Figure(figsize=(7.2, 2.3))
    ax = figure.subplots()
    for y, b in enumerate(bits.values()):
        size = parameters * b / 8 / memory.GB
        ax.barh(y, size, color=BLUE, height=0.65)
        label(ax, size, y, f"{size:.1f} GB", BLUE)
    ax.set_yticks(range(len(bits)), [f"{name}: {b:g} bits" for name, b in bits.items()])
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="GB, weights alone", xlim=(0, 1.2 * parameters * max(bits.values()) / 8 / memory.GB))
    ax.set_title(f"{parameters / 1e9:.2f} billion numbers, kept more and more coarsely")
    return figure


def where_numbers_sit(models: Mapping[str, Mapping[str, int]]) -> Figure:
    """One bar a model, split into the shares of its parts, each with its name, share and count in millions."""
    figure = Figure(figsize=(8.4, 1.0 + 0.95 * len(models)))
    ax = figure.subplots()
    for y, parts in enumerate(models.values()):
        left, whole = 0.0, sum(parts.values())
        for (part, count), color in zip(parts.items(), (ORANGE, BLUE, GREEN, GREY), strict=False):
            share = count / whole
            ax.barh(y, share, left=left, color=color, edgecolor="white", height=0.7)
            text = f"{part}{{}}{share:.0%}, {count / 1e6:,.0f} M"
            if share > 0.1:
                ink, middle = "black" if color == ORANGE else "white", left + share / 2
                ax.text(middle, y, text.format("\n"), ha="center", va="center", size=9, color=ink, weight="bold")
            elif share > 0.005:
                ax.text(left, y - 0.37, text.format(" "), va="bottom", size=9, color="black", weight="bold")
            left += share
    sizes = (sum(parts.values()) for parts in models.values())
    ax.set_yticks(range(len(models)), [f"{name}\n{n / 1e6:,.0f} M" for name, n in zip(models, sizes, strict=True)])
    ax.set(xlim=(0, 1), xlabel="share of the model's numbers (M: million)", title="Where the numbers sit")
    ax.invert_yaxis()
    ax.grid(visible=False)
    return figure


# The parts of a bill as the pictures name and colour them; the model's own three lines are one part.
BILL_COLORS = {
    "weights": GREY, "adapters": ORANGE, "gradients": BLUE, "moments": GREEN, "activations": SKY, "logits, loss": PURPLE,
    "working": "#b58900", "driver, slack": "#9aa0a6",
}  # fmt: skip


def bill_parts(bill: memory.Bill) -> dict[str, float]:
    """Bytes by the parts of BILL_COLORS."""
    parts = (bill.weights, bill.adapters, bill.gradients, bill.optimizer, *bill[6:])
    return dict(zip(BILL_COLORS, parts, strict=True))


def bill_bar(ax: Any, y: float, bill: memory.Bill) -> None:
    """One stacked bar of a Bill in GB, its total at the end, its larger parts named."""
    left = 0.0
    for name, part in bill_parts(bill).items():
        size, color = part / memory.GB, BILL_COLORS[name]
        if not size:
            continue
        ax.barh(y, size, left=left, color=color, edgecolor="white", lw=0.4, height=0.6)
        if size > 0.11 * ax.get_xlim()[1]:
            ax.text(
                left + size / 2,
                y,
                name,
                ha="center",
                va="center",
                color="black" if color == ORANGE else "white",
                size=9,
                weight="bold",
            )
        left += size
    label(
        ax,
        left,
        y,
        f"{left:.1f} GB",
        "black",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85},
    )


def fit_bars(bills: Mapping[str, memory.Bill], cards: Sequence[str]) -> Figure:
    """One stacked bar a method, and a vertical line at what each card really holds; cards of one size share a line."""
    figure = Figure(figsize=(8.4, 3.6))
    ax = figure.subplots()
    ax.set_xlim(0, 1.13 * max(bill.total for bill in bills.values()) / memory.GB)
    by_size: dict[float, list[str]] = {}
    for card in cards:
        by_size.setdefault(memory.card_bytes(card) / memory.GB, []).append(card)
    for size, names in by_size.items():
        ax.axvline(size, color=VERMILION, lw=1.2, ls="--", zorder=0.5)
        ax.annotate(
            ", ".join(names), (size, 1.02), xycoords=("data", "axes fraction"), color=VERMILION, size=9, weight="bold",
            rotation=55, ha="left", va="bottom", rotation_mode="anchor",
        )  # fmt: skip
    for y, bill in enumerate(bills.values()):
        bill_bar(ax, y, bill)
    ax.set_yticks(range(len(bills)), list(bills))
    ax.set(ylim=(len(bills) - 0.5, -0.5), xlabel="GB at the fullest moment (dashed: what a card holds)")
    ax.grid(visible=False)
    return figure


# ---- lesson 01 ----


def photograph() -> Tensor:
    """The course's photograph of a cat (300×451, CC0) as grey values: 0 is black, 1 is white."""
    return torch.from_numpy(imread(course_root() / "data" / "photo" / "cat.png").copy())


def photos_at_ranks(photo: Tensor, parts: lowrank.SVD, ranks: Sequence[int]) -> Figure:
    """The photograph cut to each rank, with the numbers stored as a share of its own."""
    figure, (d, k) = Figure(figsize=(8.4, 4.3)), photo.shape
    axes = figure.subplots(2, (len(ranks) + 1) // 2).flatten()
    for ax, r in zip(axes, ranks, strict=False):
        B, A = lowrank.factors(parts, r)
        stored = lowrank.stored_numbers(d, k, r)
        ax.imshow((B @ A).numpy(), cmap="gray", vmin=0, vmax=1)
        ax.set_title(f"r = {r}: {stored / (d * k):.0%} of the numbers", fontsize=10.5)
        ax.set(xticks=[], yticks=[])
    return figure


def error_of_rivals(ranks: Sequence[int], errors: Mapping[str, Sequence[float]]) -> Figure:
    """Relative error against rank, one line for each way to choose the directions."""
    figure = Figure(figsize=(7.2, 3.6))
    ax = figure.subplots()
    for (name, line), color in zip(errors.items(), (BLUE, ORANGE, GREEN, VERMILION), strict=False):
        ax.plot(ranks, line, color=color)
        label(ax, ranks[-1], line[-1], name, color)
    ax.set(xlabel="rank r (the same numbers stored by all)", ylabel="relative error (log)", yscale="log")
    ax.set_xlim(0, ranks[-1] * 1.5)  # room for the names
    low, high = min(map(min, errors.values())), max(map(max, errors.values()))
    ticks = [t for t in (0.02, 0.05, 0.1, 0.2, 0.5, 1) if low <= t <= high]
    ax.set_yticks(ticks, [str(t) for t in ticks])
    ax.minorticks_off()
    ax.set_title("What each guess loses")
    return figure


def energy_beside_noise(curves: Mapping[str, tuple[Tensor, Tensor]], share: float = 0.9) -> Figure:
    """Energy kept against rank: the real matrix's singular values and its Gaussian control's, one panel a matrix."""
    figure = Figure(figsize=(8.4, 3.6))
    for ax, (name, pair) in zip(figure.subplots(1, len(curves), sharey=True), curves.items(), strict=True):
        for S, color, who, away in zip(pair, (BLUE, GREY), (name, "noise"), ((-6, 4), (8, -8)), strict=True):
            kept, r = lowrank.energy(S).tolist(), lowrank.rank_for_energy(S, share)
            ax.plot(range(1, len(kept) + 1), kept, color=color)
            ax.plot([r], [share], "o", color=color, ms=8)
            label(ax, r, share, f"{who}: {r}", color, xytext=away, ha="right" if color == BLUE else "left")
        ax.axhline(share, color=VERMILION, lw=1, ls="--")
        label(ax, 0, share, f"{share:.0%}", VERMILION, xytext=(5, -9))
        ax.set(xlabel=f"rank, of {len(pair[0])}", ylim=(0, 1.03), xlim=(0, len(pair[0])), title=name)
    figure.axes[0].set_ylabel("share of energy kept")
    return figure


def rank_shares(shares: Mapping[str, Sequence[float]], noise: Mapping[str, float], even: Mapping[str, float]) -> Figure:
    """For each kind of matrix, a dot a layer: the share of full rank that 90% of the energy needs.

    Beside it: the same for Gaussian noise of that shape, and the break-even rank as a share of full rank.
    """
    figure = Figure(figsize=(8.4, 4.2))
    ax = figure.subplots()
    for y, (kind, dots) in enumerate(shares.items()):
        ax.plot(
            dots,
            [y + 0.5 * (i / max(len(dots) - 1, 1) - 0.5) for i in range(len(dots))],
            "o",
            color=BLUE,
            ms=4,
            alpha=0.6,
        )
        ax.plot([median(dots)] * 2, [y - 0.36, y + 0.36], color=BLUE, lw=3)
        ax.plot([noise[kind]] * 2, [y - 0.36, y + 0.36], color=GREY, lw=3)
        ax.plot([even[kind]] * 2, [y - 0.36, y + 0.36], color=VERMILION, lw=1.5, ls="--")
    (top, *_, last), bottom = shares, len(shares) - 1
    label(ax, median(shares[top]), -0.5, "median layer", BLUE, xytext=(0, 6), ha="center")
    label(ax, noise[top], 0, "noise", GREY)
    label(ax, even[last], bottom, "nothing saved", VERMILION)
    ax.set_yticks(range(len(shares)), list(shares))
    ax.set(ylim=(len(shares) - 0.4, -1.0), xlim=(0, 1), title="Fewer directions than noise, but rarely few")
    ax.set_xlabel("rank that keeps 90% of the energy, as a share of full rank; a dot a layer, first layer on top")
    ax.grid(axis="y", visible=False)
    return figure


def perplexity_by_storage(stored: Sequence[float], perplexity: Sequence[float], intact: float, blind: int) -> Figure:
    """Perplexity (log axis) against numbers stored, with the intact base, a blind guess and break-even drawn in."""
    figure = Figure(figsize=(7.6, 4.0))
    ax = figure.subplots()
    ax.plot(stored, perplexity, "o-", color=BLUE)
    ax.axvspan(0, 1, color=GREEN, alpha=0.12, lw=0)
    for y, text, color in (
        (intact, f"the base, untouched: {intact:.0f}", GREEN),
        (blind, f"a blind guess: {blind:,}", VERMILION),
    ):
        ax.axhline(y, color=color, lw=1.4, ls="--")
        label(ax, 0, y, text, color, xytext=(6, -9))
    ax.set(yscale="log", ylim=(10, None), xlim=(0, max(stored) * 1.04))
    ax.set(xlabel="numbers stored, as a share of W's own (green: something saved)", ylabel="perplexity (log)")
    ax.set_title("Every W of the base cut")
    ax.minorticks_off()
    return figure


def perplexity_by_kind(perplexity: Mapping[str, float], weights: Mapping[str, float], intact: float) -> Figure:
    """Perplexity (log axis) when one kind of matrix is cut to equal storage; `weights`: its share of all weights."""
    figure = Figure(figsize=(7.6, 3.6))
    ax = figure.subplots()
    for y, value in enumerate(perplexity.values()):
        color = GREEN if value < 1.2 * intact else VERMILION
        ax.plot([intact, value], [y, y], color=color, lw=2)
        ax.plot([value], [y], "o", color=color, ms=8)
        label(ax, value, y, f"{value:,.0f}", color, xytext=(9, 0))
    ax.axvline(intact, color=GREY, lw=1.4, ls="--")
    label(ax, intact, -0.7, f"untouched: {intact:.0f}", GREY)
    ax.set_yticks(range(len(perplexity)), [f"{kind} ({weights[kind]:.0%} of weights)" for kind in perplexity])
    ax.set(xscale="log", ylim=(len(perplexity) - 0.5, -1.1), xlabel="perplexity (log)")
    ax.set_xlim(intact * 0.7, max(perplexity.values()) * 5)
    ax.set_title("One kind at a time, cut to equal storage")
    ax.minorticks_off()
    return figure


# ---- lesson 02 ----


def update_norms(ranks: Sequence[int], lora: Sequence[float], rslora: Sequence[float]) -> Figure:
    """‖ΔW‖ against r (log₂ axis) for the scales α/r and α/√r."""
    figure = Figure(figsize=(7.2, 3.2))
    ax = figure.subplots()
    for norms, name, color in ((lora, "LoRA: α/r", BLUE), (rslora, "rsLoRA: α/√r", ORANGE)):
        ax.plot(ranks, norms, "o-", color=color)
        label(ax, ranks[-1], norms[-1], name, color)
    ax.set_xscale("log", base=2)
    ax.set_xticks(ranks, [str(r) for r in ranks])
    ax.set(xlabel="rank r", ylabel="‖ΔW‖", ylim=(0, None), title="Same α, same spread of A and B")
    ax.set_xlim(right=ranks[-1] * (ranks[-1] / ranks[0]) ** 0.3)  # room for the names
    return figure


def singular_cliff(S: Tensor, r: int) -> Figure:
    """The first singular values of ΔW on a log axis: r of them, then rounding noise."""
    shown = S[: max(3 * r, r + 8)].clamp_min(1e-12).tolist()
    figure = Figure(figsize=(7.2, 3.0))
    ax = figure.subplots()
    ax.semilogy(range(1, r + 1), shown[:r], "o", color=BLUE)
    ax.semilogy(range(r + 1, len(shown) + 1), shown[r:], "o", color=GREY, markerfacecolor="white")
    label(ax, r, shown[r - 1], f"r = {r} directions", BLUE, xytext=(10, 0))
    label(ax, (r + len(shown)) / 2, shown[r], "rounding noise of fp32", GREY, xytext=(0, 12), ha="center")
    ax.set(xlabel="singular value number", ylabel="size", title="ΔW has rank r, and no more")
    return figure


def counts_against_rank(
    counts: Mapping[tuple[str, str, int], int], parameters: int, line_of: str, band: tuple[float, float] = (20e6, 30e6)
) -> Figure:
    """Trainable parameters against r, both axes log: lines of one model, marks for all, the page's two claims drawn in.

    `counts` holds {(model, targets, r): trainable}; `parameters` is the size of the model `line_of`.
    """
    figure = Figure(figsize=(7.2, 4.6))
    ax = figure.subplots()
    ranks = (1, 300)
    ax.axhspan(*band, color=GREEN, alpha=0.22, lw=0)
    label(ax, 1, (band[0] * band[1]) ** 0.5, "20–30 million", GREEN, xytext=(4, 0))
    for cut in (0.90, 0.99):
        ax.axhline((1 - cut) * parameters, color=GREY, lw=1.2, ls="--")
        label(ax, 1, (1 - cut) * parameters, f"{cut:.0%} cut", GREY, xytext=(4, 8))
    models = list(dict.fromkeys(model for model, _, _ in counts))
    for color, targets in zip((BLUE, ORANGE, VERMILION), dict.fromkeys(t for _, t, _ in counts), strict=False):
        r0 = min(r for model, t, r in counts if (model, t) == (line_of, targets))
        per_rank = counts[line_of, targets, r0] / r0
        ax.plot(ranks, [per_rank * r for r in ranks], color=color, lw=1.6)
        label(ax, ranks[1], per_rank * ranks[1], targets, color)
        for model, mark in zip(models, "o^s", strict=False):
            points = [(r, n) for (m, t, r), n in counts.items() if (m, t) == (model, targets)]
            ax.plot(*zip(*points, strict=True), mark, color=color, ms=6, markeredgecolor="white")
    marks = ", ".join(f"{shape} {model}" for model, shape in zip(models, "●▲■", strict=False))
    ax.set(xscale="log", yscale="log", xlim=ranks, xlabel=f"rank r     ({marks}; lines: {line_of})")
    ax.set_ylabel("trainable parameters (millions)")
    ax.set_xticks(ticks := (1, 4, 8, 16, 64, 256), [str(r) for r in ticks])
    ax.set_yticks(ticks_y := (1e6, 1e7, 1e8, 1e9), [f"{n / 1e6:,.0f}" for n in ticks_y])
    ax.minorticks_off()
    ax.set_title(f"What trains in a 7B ({parameters / 1e9:.2f} billion parameters)")
    return figure


# ---- lesson 03 ----


def loss_curves(
    curves: Mapping[str, Sequence[float]], window: int = 5, title: str = "Same data, same seed, same steps"
) -> Figure:
    """Training loss against step: every step as a dot, its running mean over `window` steps as a line."""
    figure = Figure(figsize=(7.2, 3.6))
    ax = figure.subplots()
    ends = []
    for (name, losses), color in zip(curves.items(), (BLUE, ORANGE, GREEN), strict=False):
        steps = range(1, len(losses) + 1)
        smooth = [sum(losses[max(0, i - window) : i]) / min(i, window) for i in steps]
        ax.plot(steps, losses, ".", color=color, alpha=0.35, ms=5)
        ax.plot(steps, smooth, color=color)
        ends.append((smooth[-1], name, color))
    for place, (end, name, color) in enumerate(sorted(ends)):
        label(ax, len(losses), end, name, color, xytext=(6, 8 * (2 * place - len(ends) + 1)))
    ax.set(xlabel="step", ylabel="loss (nats a token)", title=title, ylim=(0, None))
    ax.set_xticks(range(0, len(losses) + 1, max(1, len(losses) // 6)))
    ax.set_xlim(right=1.3 * len(losses))
    return figure


def bills(lines: Sequence[str], bytes_of: Mapping[str, Sequence[float]]) -> Figure:
    """One stacked bar a method: what it holds in memory, in MB, the name of each part on it."""
    figure = Figure(figsize=(7.2, 2.4))
    ax = figure.subplots()
    for row, parts in enumerate(bytes_of.values()):
        left = 0.0
        for name, part, color in zip(lines, parts, (GREY, ORANGE, BLUE), strict=True):
            ax.barh(row, part / 1e6, left=left, color=color, edgecolor="white")
            if part > 1.5e8:
                ink = "black" if color == ORANGE else "white"
                ax.text(left + part / 2e6, row, name, ha="center", va="center", color=ink, size=9, weight="bold")
            left += part / 1e6
        ax.text(left + 20, row, f"{left:,.0f} MB", va="center")
    ax.set_yticks(range(len(bytes_of)), list(bytes_of))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="MB held through the whole run", xlim=(0, 1.15 * max(sum(p) for p in bytes_of.values()) / 1e6))
    ax.set_title("Weights, gradients, optimizer")
    return figure


def update_energy(curves: Mapping[str, Sequence[float]], full: int, share: float = 0.9) -> Figure:
    """Energy kept against the share of the rank, one line a matrix, each named where it crosses `share`."""
    figure = Figure(figsize=(7.2, 3.8))
    ax = figure.subplots()
    ax.axhline(share, color=GREY, lw=1, ls="--")
    for place, ((name, curve), color) in enumerate(zip(curves.items(), (BLUE, ORANGE, GREY), strict=False)):
        ax.plot([i / full for i in range(len(curve) + 1)], [0, *curve], color=color)
        crossing = next(i for i, kept in enumerate(curve, 1) if kept >= share) / full
        ax.plot([crossing, crossing], [0, share], color=color, lw=1, ls=":")
        ax.plot([crossing], [share], "o", color=color)
        right = crossing > 0.5  # write on the side that has room
        side = {"xytext": (-6, 0), "ha": "right"} if right else {"xytext": (6, 0), "ha": "left"}
        label(ax, crossing, 0.06 + 0.11 * place, f"{name}: {crossing:.0%}", color, **side)
    ax.set(xlabel="share of the full rank kept", ylabel="energy kept", xlim=(0, 1), ylim=(0, 1.02))
    ax.set_title(f"How many directions hold {share:.0%} of the energy?")
    return figure


def overlaps(rows: Mapping[str, Sequence[float]]) -> Figure:
    """φ(i) for i = 1, 2 …, one line a comparison: 1 when the other span holds this one, 0 when they share nothing."""
    figure = Figure(figsize=(7.2, 3.4))
    ax = figure.subplots()
    for (name, values), color in zip(rows.items(), (BLUE, ORANGE, GREEN, GREY), strict=False):
        ax.plot(range(1, len(values) + 1), values, "o-", color=color, ms=5)
        label(ax, len(values), values[-1], name, color, xytext=(6, -5 if name == "chance" else 3))
    ax.set_xticks(range(1, len(values) + 1))
    ax.set(xlabel="strongest directions of rank 8 compared, i", ylabel="overlap φ with the other's top 8", ylim=(0, 1))
    ax.set_xlim(right=len(values) * 1.4)
    ax.set_title("Do two runs find the same directions?")
    return figure


# ---- lesson 04 ----


def gaps(stages: Mapping[str, Mapping[str, float]], limit: float, rounding: float) -> Figure:
    """The largest difference of each quantity at each stage, on a log axis with a place of its own for exactly 0.

    `stages` holds {stage: {quantity: difference}}; `rounding` is one fp32 rounding step at the largest logit's size.
    """
    figure = Figure(figsize=(7.8, 4.2))
    ax = figure.subplots()
    low, zero, top = 1e-10, 2e-12, 1e3
    ax.axvspan(zero / 8, zero * 8, color="#eceef0", lw=0)
    marks = {"logits": ("o", BLUE, 0.22), "gradients": ("s", ORANGE, 0.0), "weights": ("^", GREEN, -0.22)}
    for row, found in enumerate(stages.values()):
        for quantity, value in found.items():
            mark, color, up = marks[quantity]
            ax.plot([max(value, low) if value else zero], [row - up], mark, color=color, ms=8)
    first = next(iter(stages.values()))
    for x, quantity in zip((0.02, 0.16, 0.35), first, strict=False):
        mark, color, _ = marks[quantity]
        ax.plot([x], [1.05], mark, color=color, ms=8, transform=ax.transAxes, clip_on=False)
        ax.text(x + 0.02, 1.05, quantity, color=color, weight="bold", va="center", transform=ax.transAxes)
    for x, text, color, side in (
        (rounding, "one fp32 step", GREY, "right"),
        (limit, f"limit {limit:g}", VERMILION, "left"),
    ):
        ax.axvline(x, color=color, lw=1.4, ls="--")
        label(ax, x, -0.62, text, color, xytext=(-5 if side == "right" else 5, 0), ha=side)
    ax.set(xscale="log", xlim=(zero / 8, top), ylim=(len(stages) - 0.5, -0.9))
    powers = (-8, -6, -4, -2, 0, 2)
    ax.set_xticks([zero, *(10.0**p for p in powers)], ["exactly 0", *(f"$10^{{{p}}}$" for p in powers)])
    ax.set_yticks(range(len(stages)), list(stages))
    ax.set_xlabel("largest difference between ours and PEFT (log)")
    ax.minorticks_off()
    ax.grid(axis="y", visible=False)
    return figure


def adapter_sizes(counts: Mapping[tuple[str, str], int], ranks: Sequence[int], band: tuple[float, float]) -> Figure:
    """Adapter file size in MB (log axis), one row for targets and bytes a number, a dot for each model and rank.

    `counts` holds {(model, targets): numbers at r = 1}; `band` is the page's range in MB.
    """
    figure = Figure(figsize=(7.8, 4.0))
    ax = figure.subplots()
    ax.axvspan(*band, color=GREEN, alpha=0.2, lw=0)
    rows = [(targets, width) for targets in dict.fromkeys(t for _, t in counts) for width in (2, 4)]
    models = list(dict.fromkeys(model for model, _ in counts))
    for row, (targets, width) in enumerate(rows):
        for r, color in zip(ranks, (BLUE, ORANGE, VERMILION), strict=False):
            sizes = [width * r * counts[model, targets] / 1e6 for model in models]
            for size, mark in zip(sizes, "o^s", strict=False):
                ax.plot([size], [row], mark, color=color, ms=7, markeredgecolor="white")
            if row == 0:
                label(ax, sizes[0], row, f"r = {r}", color, xytext=(0, 13), ha="center")
    label(
        ax,
        (band[0] * band[1]) ** 0.5,
        len(rows) - 0.55,
        f"the page: {band[0]}–{band[1]} MB",
        GREEN,
        xytext=(0, 0),
        ha="center",
    )
    ax.set_yticks(range(len(rows)), [f"{targets}, {'16-bit' if width == 2 else 'fp32'}" for targets, width in rows])
    shapes = ", ".join(f"{shape} {model}" for model, shape in zip(models, "●▲■", strict=False))
    ax.set(xscale="log", ylim=(len(rows) - 0.2, -0.8), xlabel=f"MB     ({shapes})")
    ax.set_xticks(ticks := (5, 10, 20, 50, 100, 200, 500), [str(t) for t in ticks])
    ax.minorticks_off()
    ax.set_title("An adapter's file for a 7B")
    return figure


def merge_errors(sizes: Sequence[float], errors: Sequence[float]) -> Figure:
    """The error of a 16-bit merge as a share of ΔW's energy, against the update's size; 1 is the adapter as trained."""
    figure = Figure(figsize=(7.2, 3.2))
    ax = figure.subplots()
    ax.plot(sizes, errors, "o-", color=BLUE)
    trained = errors[list(sizes).index(1)]
    ax.plot([1], [trained], "o", color=VERMILION, ms=10)
    label(ax, 1, trained, "as trained here", VERMILION, xytext=(10, 8))
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [f"{size:g}×" for size in sizes])
    ax.set(xlabel="size of the update", ylabel="error, share of its energy", ylim=(0, 1))
    ax.set_title("Merged into bf16 weights")
    ax.minorticks_off()
    return figure


# ---- lesson 05 ----


def sweep_lines(
    lines: Mapping[str, Sequence[tuple[int, Any]]],
    ylabel: str = "held-out loss (nats)",
    title: str = "",
    percent: bool = False,
) -> Figure:
    """A quantity against r (log₂ axis), one line for each way to set α; bars are 95% intervals over seeds.

    `lines` holds {way: [(r, sweep.Summary)]}.
    """
    figure = Figure(figsize=(7.4, 3.9))
    ax = figure.subplots()
    ranks = sorted({r for points in lines.values() for r, _ in points})
    ends = []
    colors = (BLUE, ORANGE, VERMILION, GREEN, PURPLE, GREY, "black")
    for n, (way, points) in enumerate(lines.items()):
        color, dashes = colors[n % len(colors)], ("-", "--", ":")[n // len(colors) % 3]
        x = [r * 1.2 ** ((n + 0.5) / len(lines) - 0.5) for r, _ in points]  # side by side: the bars can be told apart
        ax.plot(x, [one.mean for _, one in points], "o", ls=dashes, color=color, ms=5)
        ax.vlines(x, [one.low for _, one in points], [one.high for _, one in points], color=color, lw=1.4, alpha=0.6)
        ends.append((points[-1][1].mean, way, color))
    if many := len(lines) > 6:  # no room beside the lines for so many names
        figure.set_figheight(3.9 + 0.12 * len(lines))
        figure.legend(list(ax.lines), list(lines), loc="outside lower center", ncols=2, fontsize=8)
    low, high = ax.get_ylim()
    last = float("-inf")
    for y, way, color in [] if many else sorted(ends):
        last = max(y, last + 0.07 * (high - low))
        label(ax, ranks[-1] * 1.15, last, way, color)
    ax.set_xscale("log", base=2)
    ax.set_xticks(ranks, [str(r) for r in ranks])
    ax.set_xlim(right=ranks[-1] * (1.3 if many else 3.2 if len(ranks) > 2 else 1.6))
    ax.set(xlabel="rank r", ylabel=ylabel, title=title)
    if percent:
        ax.yaxis.set_major_formatter(lambda y, _: f"{y:.1%}")
    return figure


def intervals(rows: Mapping[str, Any], reference: str, xlabel: str) -> Figure:
    """One row a contender: its mean and 95% interval, the reference's interval drawn through; apart or not is said.

    `rows` holds {name: sweep.Summary}; a row named "fair: …" is a dot, all others are squares.
    """
    figure = Figure(figsize=(8.0, 0.9 + 0.38 * len(rows)))
    ax, here = figure.subplots(), rows[reference]
    ax.axvspan(here.low, here.high, color=SKY, alpha=0.3, lw=0)
    for y, (name, s) in enumerate(rows.items()):
        apart = s.apart(here) and name != reference
        color = BLUE if name == reference else (GREEN if s.mean < here.mean else VERMILION) if apart else GREY
        ax.plot([s.low, s.high], [y, y], color=color, lw=2.4)
        ax.plot([s.mean], [y], "o" if name.startswith("fair") else "s", color=color, ms=7)
        said = ("lower" if s.mean < here.mean else "higher") if apart else "overlaps"
        label(ax, s.high, y, "the reference" if name == reference else said, color, size=9)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(ylim=(len(rows) - 0.5, -0.6), xlabel=xlabel)
    left, right = ax.get_xlim()
    ax.set_xlim(left, right + 0.15 * (right - left))
    ax.grid(axis="y", visible=False)
    return figure


def beside_the_paper(paper: Mapping[str, Mapping[int, float]], ours: Mapping[str, Sequence[tuple[int, Any]]]) -> Figure:
    """Table 6 of the paper (accuracy, higher is better) beside the sweep (loss, axis turned: higher is better, too)."""
    figure = Figure(figsize=(8.6, 3.5))
    left, right = figure.subplots(1, 2)
    for (targets, accuracy), color in zip(paper.items(), (GREY, BLUE, ORANGE), strict=False):
        left.plot(list(accuracy), list(accuracy.values()), "o-", color=color)
        label(left, max(accuracy), list(accuracy.values())[-1], targets, color)
    for (targets, points), color in zip(ours.items(), (BLUE, VERMILION), strict=False):
        x = [r for r, _ in points]
        right.plot(x, [one.mean for _, one in points], "o-", color=color)
        right.vlines(x, [one.low for _, one in points], [one.high for _, one in points], color=color, lw=1.4, alpha=0.6)
        label(right, x[-1], points[-1][1].mean, targets, color)
    for ax in (left, right):
        ax.set_xscale("log", base=2)
        ax.set_xticks(ticks := (1, 4, 16, 64), [str(t) for t in ticks])
        ax.set(xlim=(0.8, 64 * 5), xlabel="rank r")
    left.set(ylabel="WikiSQL accuracy (%)", title="Published: GPT-3 175B, Table 6")
    right.set(ylabel="held-out loss (nats), turned", title="Recorded: ours, α = 16")
    right.invert_yaxis()
    return figure


# ---- lesson 06 ----


def shares_of_levels(shares: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """For each way to round, its levels (between −1 and 1) and the share of all weights that falls on each."""
    figure = Figure(figsize=(8.4, 1.1 + 1.25 * len(shares)))
    axes = figure.subplots(len(shares), 1, sharex=True)
    for ax, (name, (table, share)), color in zip(axes, shares.items(), (VERMILION, ORANGE, BLUE), strict=False):
        ax.vlines(table, 0, share, color=color, lw=5)
        ax.plot(table, [0] * len(table), "|", color="black", ms=9)
        busiest = int(share.argmax())
        label(ax, float(table[busiest]), float(share[busiest]), f"{share[busiest]:.0%}", color, xytext=(5, -4))
        ax.text(0.0, 1.0, name, transform=ax.transAxes, weight="bold", va="top")
        ax.set(ylim=(0, 1.25 * float(share[busiest])), yticks=[])
        ax.grid(visible=False)
    axes[-1].set_xlabel("level, as a part of the absmax (black ticks: all there are)")
    figure.suptitle("How many weights fall on each level", x=0.01, ha="left", weight="bold")
    return figure


def bell_and_levels(codebooks: Mapping[str, Tensor]) -> Figure:
    """The normal curve over −1 … 1 (its 97% quantile at 1), and below it where each codebook puts its levels."""
    figure = Figure(figsize=(8.4, 3.2))
    ax = figure.subplots()
    x = torch.linspace(-1, 1, 400)
    z = torch.special.ndtri(torch.tensor(0.9677083)) * x
    ax.fill_between(x, torch.exp(-z.square() / 2), color=SKY, alpha=0.35, lw=0)
    label(ax, 0, 0.55, "the bell that NF4 assumes", GREY, ha="center", xytext=(0, 0))
    for n, ((name, table), color) in enumerate(zip(codebooks.items(), (BLUE, ORANGE, VERMILION), strict=False)):
        ax.plot(table, [-0.14 - 0.2 * n] * len(table), "|", color=color, ms=15, mew=2.5)
        label(ax, 1, -0.14 - 0.2 * n, name, color, xytext=(12, 0))
    ax.set(xlim=(-1.05, 1.3), ylim=(-0.2 - 0.2 * len(codebooks), 1.05), yticks=[])
    ax.set_xlabel("weight, as a part of its block's absmax")
    ax.set_title("Levels where the weights are, or evenly")
    ax.grid(visible=False)
    return figure


def errors_by_codebook(errors: Mapping[str, Sequence[float]], noise: Mapping[str, float]) -> Figure:
    """Relative error, a dot a matrix, one row a codebook; a grey bar is normal noise of the same shapes."""
    figure = Figure(figsize=(8.4, 0.9 + 0.75 * len(errors)))
    ax = figure.subplots()
    for y, ((name, dots), color) in enumerate(zip(errors.items(), (BLUE, SKY, VERMILION, ORANGE), strict=False)):
        spread = [y + 0.5 * ((7 * i) % len(dots) / len(dots) - 0.5) for i in range(len(dots))]
        ax.plot(dots, spread, "o", color=color, ms=3, alpha=0.5)
        ax.plot([median(dots)] * 2, [y - 0.38, y + 0.38], color=color, lw=3)
        ax.plot([noise[name]] * 2, [y - 0.38, y + 0.38], color=GREY, lw=2, ls="--")
    last = list(errors)[-1]
    label(ax, noise[last], len(errors) - 0.6, "normal noise", GREY, xytext=(-6, 0), ha="right")
    label(ax, median(errors[last]), len(errors) - 0.6, "median matrix", ORANGE)
    ax.set_yticks(range(len(errors)), list(errors))
    ax.set(ylim=(len(errors) - 0.35, -0.6), xlabel="relative error ‖W − rounded W‖ / ‖W‖, a dot a matrix of the base")
    ax.set_title("How far off the weights are")
    ax.grid(axis="y", visible=False)
    return figure


def bits_of_a_parameter(rows: Mapping[str, tuple[float, float]]) -> Figure:
    """One bar a format: bits of the number itself, and its share of the scales."""
    figure = Figure(figsize=(8.4, 0.8 + 0.5 * len(rows)))
    ax = figure.subplots()
    for y, (code, scales) in enumerate(rows.values()):
        ax.barh(y, code, color=BLUE, height=0.6)
        ax.barh(y, scales, left=code, color=ORANGE, height=0.6)
        label(ax, code + scales, y, f"{code + scales:.4g} bits", "black")
    (last, (code, scales)) = list(rows.items())[1]
    label(ax, code + scales / 2, 1.42, "scales", "#8a5f00", xytext=(0, 0), ha="center")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.invert_yaxis()
    ax.set(xlim=(0, 19), xlabel="bits a parameter")
    ax.grid(axis="y", visible=False)
    return figure


# ---- lesson 09 ----


def cards(found: Mapping[str, evaluation.Scorecard]) -> Figure:
    """Three columns, a row an adapter: rules kept, general perplexity and format drift, the base's hollow, its own filled."""
    figure = Figure(figsize=(9.0, 1.1 + 0.62 * len(found)))
    columns: list[tuple[str, str, Callable[[evaluation.Score], float]]] = [
        ("answers that keep every rule", "{:.0%}", lambda s: s.kept),
        ("perplexity, general text", "{:.0f}", lambda s: s.general),
        ("format drift, unasked", "{:.0%}", lambda s: s.drift),
    ]
    for ax, (title, form, of), color in zip(
        figure.subplots(1, 3, sharey=True), columns, (BLUE, ORANGE, VERMILION), strict=True
    ):
        for y, card in enumerate(found.values()):
            before, after = of(card.base), of(card.trained)
            ax.plot([before, after], [y, y], color=color, lw=2.5, alpha=0.5)
            ax.plot(before, y, "o", mfc="white", mec=color, mew=2, ms=8)
            ax.plot(after, y, "o", color=color, ms=9)
            ax.annotate(
                form.format(after),
                (after, y),
                xytext=(0, 9),
                textcoords="offset points",
                ha="center",
                color=color,
                weight="bold",
                fontsize=9,
            )
        if "%" in form:
            ax.set(xlim=(-0.08, 1.08))
            ax.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
        else:
            ax.set(xlim=(0, 1.15 * max(max(of(c.base), of(c.trained)) for c in found.values())))
        ax.set_title(title, fontsize=10)
        ax.set_yticks(range(len(found)), list(found))
        ax.set(ylim=(len(found) - 0.5, -0.7))
    return figure


def along_the_scale(scales: Sequence[float], losses: Sequence[float], general: Sequence[float]) -> Figure:
    """Held-out loss on the task, and perplexity on general text, for an adapter at each scale."""
    figure = Figure(figsize=(8.4, 3.2))
    left, right = figure.subplots(1, 2)
    for ax, values, color, title in (
        (left, losses, BLUE, "held-out loss on its task (nats)"),
        (right, general, ORANGE, "perplexity, general text"),
    ):
        ax.plot(scales, values, "o-", color=color)
        for at, name, offset in ((0, "the base", (8, 8)), (1, "as trained", (-24, -20))):
            if at in scales:
                value = values[list(scales).index(at)]
                ax.plot(at, value, "o", color=color, ms=11)
                ax.annotate(
                    name,
                    (at, value),
                    xytext=offset,
                    textcoords="offset points",
                    weight="bold",
                    color=color,
                )
        ax.set(xlabel="scale of the update", ylim=(0, 1.2 * max(values)))
        ax.set_title(title, fontsize=11)
    right.set(yscale="log", ylim=(0.3 * min(general), 2 * max(general)))
    return figure


def merge_paths(paths: Mapping[str, tuple[float, float]]) -> Figure:
    """A row a path: how far its next-token distribution is from the unmerged model's (KL), and its size in MB."""
    figure = Figure(figsize=(8.4, 0.9 + 0.55 * len(paths)))
    ax = figure.subplots()
    for y, (kl, megabytes) in enumerate(paths.values()):
        ax.barh(y, kl, color=VERMILION, height=0.55)
        label(ax, kl, y, f"{kl:.2g} nats, {megabytes:.0f} MB", "black")
    ax.set_yticks(range(len(paths)), list(paths))
    ax.invert_yaxis()
    ax.set(
        xlim=(0, 1.45 * max(kl for kl, _ in paths.values())), xlabel="mean KL from the unmerged model (nats a token)"
    )
    ax.set_title("What merging changes")
    return figure


# ---- lesson 11 ----


def two_weights(H: Tensor, w: Tensor, chosen: Mapping[str, Tensor]) -> Figure:
    """Two weights (a grid of whole numbers): lines of equal output error around `w`, the grid, and the marks chosen."""
    figure = Figure(figsize=(6.4, 4.4))
    ax = figure.subplots()
    (x0, y0), reach = w.tolist(), 1.9
    x, y = torch.meshgrid(
        torch.linspace(x0 - reach, x0 + reach, 240), torch.linspace(y0 - reach, y0 + reach, 240), indexing="xy"
    )
    d = torch.stack([x - x0, y - y0])
    error = torch.einsum("iab,ij,jab->ab", d, H, d).sqrt()
    levels = [((mark - w) @ H @ (mark - w)).sqrt().item() for mark in chosen.values()]
    ax.contour(x, y, error, sorted({*levels, 0.5 * min(levels), 1.6 * max(levels)}), colors=SKY, linewidths=1.2)
    marks = [(i, j) for i in range(-8, 9) for j in range(-8, 9) if abs(i - x0) < reach and abs(j - y0) < reach]
    ax.plot(*zip(*marks, strict=True), "o", color=GREY, ms=4)
    ax.plot(x0, y0, "x", color="black", ms=9, mew=2.2)
    label(ax, x0, y0, "the weights", "black", xytext=(8, 8))
    for (name, mark), color in zip(chosen.items(), (VERMILION, BLUE), strict=False):
        at, above = mark.tolist()
        ax.plot(at, above, "o", color=color, ms=10)
        label(ax, at, above, name, color, xytext=(9, -12))
    ax.set(xlabel="weight 1 (steps of the grid)", ylabel="weight 2", aspect="equal")
    ax.set(xlim=(x0 - reach, x0 + reach), ylim=(y0 - reach, y0 + reach), title="Lines of equal output error")
    ax.grid(visible=False)
    return figure


def output_errors(rows: Mapping[str, Mapping[str, float]], xlabel: str) -> Figure:
    """One row a layer, a dot a method, named in the first row: how far the layer's output is off."""
    figure = Figure(figsize=(8.4, 0.9 + 0.62 * len(rows)))
    ax = figure.subplots()
    for y, errors in enumerate(rows.values()):
        ax.plot([min(errors.values()), max(errors.values())], [y, y], color=GREY, lw=1, zorder=1)
        for (name, error), color in zip(errors.items(), (VERMILION, ORANGE, BLUE, GREEN), strict=False):
            ax.plot(error, y, "o", color=color, ms=9)
            if y == 0:
                lowest = error == min(errors.values())
                label(ax, error, y, name, color, xytext=(8 * lowest, 12), ha="right" if lowest else "center")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(xlabel=xlabel, xlim=(0, None), ylim=(len(rows) - 0.5, -0.9))
    ax.grid(axis="y", visible=False)
    return figure


# ---- lesson 10 ----


def drift_by_size(
    files: Mapping[str, tuple[float, float]], wrong: Mapping[str, tuple[float, float]], limit: float
) -> Figure:
    """Each file's MB and its largest |Δlogit| from PEFT (log axis); `wrong` holds files that should not be shipped."""
    figure = Figure(figsize=(8.4, 4.2))
    ax = figure.subplots()
    ax.axhline(limit, color=GREY, lw=1.4, ls="--")
    largest = max(mb for mb, _ in {**files, **wrong}.values())
    label(ax, 0.45 * largest, limit, f"limit for F32: {limit:g}", GREY, xytext=(0, -10))
    for group, color, mark in ((files, BLUE, "o"), (wrong, VERMILION, "X")):
        for name, (mb, gap) in group.items():
            ax.plot([mb], [gap], mark, color=color, ms=10)
            right = mb < 0.7 * largest
            label(ax, mb, gap, name, color, xytext=(9 if right else -9, 0), ha="left" if right else "right")
    ax.set(yscale="log", xlim=(0, 1.08 * largest), xlabel="MB of the file, or of base and adapter")
    ax.set_ylabel("largest difference of a logit (log)")
    ax.set_title("What llama.cpp answers, against PEFT")
    return figure
