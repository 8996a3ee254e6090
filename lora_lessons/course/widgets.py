"""The lessons' widgets: a plain function that draws a Figure, and a thin wrapper with controls around it."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from .. import lora, lowrank, memory, models
from .figures import BLUE, GREEN, GREY, ORANGE, VERMILION, label
from .pictures import bill_bar


def interact(draw: Callable[..., Figure], **controls: Any) -> Any:
    """A widget: `controls` (ipywidgets, by argument name of `draw`) above the picture that `draw` makes of their values.

    A ValueError from `draw` is shown as its sentence, and the last good picture stays.
    """
    import ipywidgets as ipw

    picture, said = ipw.Image(format="png"), ipw.HTML()

    def redraw(_: Any = None) -> None:
        try:
            figure = draw(**{name: control.value for name, control in controls.items()})
        except ValueError as error:
            said.value = f"<span style='color:#D55E00'>{html.escape(str(error))}</span>"
            return
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=100)
        picture.value, said.value = png.getvalue(), ""

    for control in controls.values():
        control.observe(redraw, "value")
    redraw()
    return ipw.VBox([*controls.values(), said, picture])


# ---- lesson 00: what fits ----


@cache
def _counts(model: str) -> tuple[int, tuple[tuple[int, int], ...]]:
    """A shape's number of parameters, and the (d, k) of every linear layer that LoRA and NF4 reach."""
    net = models.shape(model)
    weights = (net.get_parameter(f"{name}.weight") for name in lora.resolve_targets(net, "all-linear"))
    linears = tuple((weight.shape[0], weight.shape[1]) for weight in weights)
    return sum(p.numel() for p in net.parameters()), linears


def fit_bill(model: str, method: str, r: int = 8) -> memory.Bill:
    """The fixed part of training a 7B shape by one of memory.METHODS, LoRA of rank r on all linear layers.

    Raises ValueError with what to change when the model, the method or r cannot be.
    """
    parameters, linears = _counts(model)
    for d, k in linears:
        lora.check_settings(r, 1, d, k)
    trainable = sum(r * (d + k) for d, k in linears)
    return memory.state(parameters, method, trainable, parameters - sum(d * k for d, k in linears))


def fit_words(model: str, method: str, r: int, card: str) -> str:
    """Whether the fixed part fits, in sentences."""
    bill, room = fit_bill(model, method, r), memory.card_bytes(card)
    adapters = {"lora": "LoRA", "qlora": "QLoRA"}
    what = f"{adapters[method]} at r = {r}" if method in adapters else f"{method} fine-tuning"
    left = (room - bill.total) / memory.GB
    says = (
        f"Its fixed part fits, and {left:.1f} GB are left for activations and everything else"
        if left >= 0
        else f"It cannot fit: {-left:.1f} GB are missing, even without activations"
    )
    return f"{model}, {what}: {bill.total / memory.GB:.1f} GB. {card} holds {memory.CARDS[card]:g} GiB = {room / memory.GB:.1f} GB. {says}."


def fit_figure(model: str, method: str, r: int, card: str) -> Figure:
    """One method's bill beside one card: grey is the base, then adapters, gradients, AdamW's moments.

    Raises ValueError with what to change when a setting cannot be.
    """
    bill, room = fit_bill(model, method, r), memory.card_bytes(card)
    fits = bill.total <= room
    figure = Figure(figsize=(7.6, 2.5))
    ax = figure.subplots()
    ax.set_xlim(0, 1.25 * max(bill.total, room) / memory.GB)
    ax.axvspan(0, room / memory.GB, color=GREEN if fits else VERMILION, alpha=0.13, lw=0)
    ax.axvline(room / memory.GB, color=GREEN if fits else VERMILION, lw=2)
    bill_bar(ax, 0, bill)
    ax.set(ylim=(-0.75, 0.75), yticks=[], xlabel=fit_words(model, method, r, card).replace(". ", ".\n"))
    ax.xaxis.label.set(ha="left", x=0, fontsize=10)
    ax.xaxis.set_major_formatter("{x:g} GB")
    ax.set_title("fits, the fixed part" if fits else "does not fit", color=GREEN if fits else VERMILION)
    return figure


def fit() -> Any:
    """The figure with controls for model, method, r and card; an impossible r is answered with what to change."""
    import ipywidgets as ipw

    return interact(
        fit_figure,
        model=ipw.Dropdown(options=list(models.SHAPES), description="model"),
        method=ipw.Dropdown(options=list(memory.METHODS), value="qlora", description="method"),
        r=ipw.IntText(8, description="rank r"),
        card=ipw.Dropdown(options=list(memory.CARDS), value="RTX 4090", description="card"),
    )


# ---- lesson 01: rank explorer ----


def rank_explorer_figure(W: Tensor, r: int, name: str, parts: lowrank.SVD | None = None) -> Figure:
    """W (d×k) cut to rank r as a picture, beside its energy curve with r and the break-even rank marked.

    `parts` spares the SVD where it is known. Raises ValueError when r is outside 1 … min(d, k).
    """
    parts = parts or lowrank.svd(W)
    B, A = lowrank.factors(parts, r)
    (d, k), shown = W.shape, (B @ A).cpu().numpy()
    image = bool(W.min() >= 0)  # a photograph is 0 (black) … 1; weights lie on both sides of 0
    top = 1.0 if image else 3 * float(W.std())
    figure = Figure(figsize=(8.4, 3.9))
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    left.imshow(shown, cmap="gray" if image else "RdBu_r", vmin=0 if image else -top, vmax=top, aspect="auto")
    left.set(xticks=[], yticks=[])
    left.set_title(f"{name}, rank {r} of {len(parts.S)}", fontsize=10)
    left.set_xlabel(rank_explorer_words(W, r, parts).replace(". ", ".\n"), fontsize=10, loc="left")
    kept, even = lowrank.energy(parts.S).tolist(), lowrank.break_even_rank(d, k)
    right.plot(range(1, len(kept) + 1), kept, color=BLUE)
    right.plot([r], [kept[r - 1]], "o", color=VERMILION, ms=9)
    right.axvline(even, color=GREY, ls="--", lw=1.2)
    label(right, even, 0.04, "nothing saved →", GREY)
    right.set(xlabel="rank r", ylim=(0, 1.03), xlim=(0, len(kept) * 1.02), title="share of energy kept")
    return figure


def rank_explorer_words(W: Tensor, r: int, parts: lowrank.SVD | None = None) -> str:
    """The figure's numbers in sentences: energy kept, relative error, numbers stored, break-even rank."""
    parts, (d, k) = parts or lowrank.svd(W), W.shape
    B, A = lowrank.factors(parts, r)
    stored = lowrank.stored_numbers(d, k, r)
    return (
        f"Kept energy {float(lowrank.energy(parts.S)[r - 1]):.1%}, relative error {lowrank.relative_error(W, B @ A):.3f}. "
        f"B and A hold {stored:,} numbers, {stored / (d * k):.0%} of W's {d * k:,}. "
        f"Break-even rank: {lowrank.break_even_rank(d, k)}."
    )


def rank_explorer(matrices: Mapping[str, Tensor], r: int = 20) -> Any:
    """The figure with a choice of matrix, a slider for r and a box to type it; each matrix is decomposed once.

    A rank that the chosen matrix cannot have is answered with the ranks it can; the last picture stays.
    """
    import ipywidgets as ipw

    parts: dict[str, lowrank.SVD] = {}

    def draw(name: str, r: int) -> Figure:
        if name not in parts:
            parts[name] = lowrank.svd(matrices[name])
        return rank_explorer_figure(matrices[name], r, name, parts[name])

    typed = ipw.IntText(r, description="or type it")
    slider = ipw.IntSlider(r, 1, max(min(W.shape) for W in matrices.values()), description="rank r", readout=False)
    ipw.link((slider, "value"), (typed, "value"))
    box = interact(draw, name=ipw.Dropdown(options=list(matrices), description="matrix"), r=typed)
    choice, *rest = box.children
    box.children = (choice, slider, *rest)
    return box


# ---- lesson 02: layer anatomy ----


def layer_anatomy_figure(d: int, k: int, r: int, lora_alpha: float) -> Figure:
    """W (d×k), B (d×r) and A (r×k) drawn to one scale, with what they cost.

    Raises ValueError with what to change when the sizes or settings cannot work.
    """
    words = layer_anatomy_words(d, k, r, lora_alpha)
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(7.2, 4.0))
    figure.set_layout_engine("none")
    ax = figure.add_axes((0.01, 0.25, 0.98, 0.66))
    gap = 0.22 * max(d, k)
    left_B, left_A = k + 2 * gap, k + 3 * gap + r
    for name, x, height, width, color, fill in (
        ("W (frozen)", 0, d, k, GREY, "#dfe1e3"), ("B", left_B, d, r, BLUE, BLUE), ("A", left_A, r, k, ORANGE, ORANGE),
    ):  # fmt: skip
        ax.add_patch(Rectangle((x, d - height), width, height, edgecolor=color, facecolor=fill, lw=0.8))
        text, foot = f"{name}\n{height:,}×{width:,}", (x + width / 2, d - height)
        label(ax, *foot, text, color, xytext=(0, -5), ha="center", va="top")
    ax.text(k + gap, d / 2, f"+ {lora_alpha / r:.3g} ×", ha="center", va="center")
    ax.set(xlim=(-gap / 4, left_A + k + gap / 4), ylim=(-0.75 * gap, d + gap / 8), aspect="equal")
    ax.axis("off")
    figure.text(0.02, 0.94, "h = W·x + α/r · B·(A·x), areas to one scale", weight="bold")
    figure.text(0.02, 0.02, words.replace(". ", ".\n"), va="bottom", fontsize=10)
    return figure


def layer_anatomy_words(d: int, k: int, r: int, lora_alpha: float) -> str:
    """The figure's numbers in sentences: counts, share, bytes in 16-bit, FLOPs of one token's forward pass.

    Raises ValueError with what to change when the sizes or settings cannot work.
    """
    if min(d, k) < 1:
        raise ValueError(f"a weight is d×k with d and k of at least 1; got {d}×{k}.")
    lora.check_settings(r, lora_alpha, d, k)
    frozen, trained = d * k, r * (d + k)
    return (
        f"W holds {frozen:,} numbers, A and B together {trained:,}: {trained / frozen:.2%} of W. "
        f"In 16-bit that is {2 * trained / 1e3:,.1f} kB beside {2 * frozen / 1e3:,.1f} kB. "
        f"Forward, one token: {2 * frozen / 1e6:,.2f} MFLOP through W, {2 * trained / 1e6:,.3f} MFLOP through A and B. "
        f"Scale: α/r = {lora_alpha / r:.3g}."
    )


def layer_anatomy() -> Any:
    """The figure with controls for d, k, r and α; impossible values are answered with what to change."""
    import ipywidgets as ipw

    return interact(
        layer_anatomy_figure,
        d=ipw.IntText(1536, description="d (outputs)"),
        k=ipw.IntText(576, description="k (inputs)"),
        r=ipw.IntSlider(8, 1, 1024, description="rank r"),
        lora_alpha=ipw.FloatText(16, description="α"),
    )
