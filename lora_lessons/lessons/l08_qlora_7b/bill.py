"""The bill of a training step beside what cards hold: of several methods in a picture, of one in a widget.

In the widget you choose a model, a method and a card, and slide the length of the text: `fit_scene` works everything
out, and controls stand over it. At the end: what of it lives on the web.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ... import lora, lowrank, memory, models, planning
from ...course.figures import BILL_COLORS
from ...course.on_the_web import live
from ...course.stage import Backdrop, Scene, Stage, choice, slider, whole
from ...drawing import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION, label

FULL_PASSES = "Full fine-tuning of a 7B is too large for nearly every card; LoRA and QLoRA leave the weights alone."
THREE_CAUSES = (
    "Trainer's recipe needs more than TRL's and this course's at the weights, at the loss, "
    "and in what each block remembers."
)
CARDS = ("RTX 3060", "T4", "RTX 3090", "RTX 4090", "RTX 5090", "A100 80", "H100")


def which_card(
    bills: Mapping[str, memory.Bill],
    cards: Sequence[str | float] = CARDS,
    hidden: str = "",
    published: Mapping[str, float] | None = None,
) -> Figure:
    """One stacked bar per method before a dashed line per card; the totals stand in a column of their own.

    The row named `hidden` shows a question mark instead of its bar. `published` puts a diamond at a figure, in GB, that
    was published for that row.
    """
    sizes = [planning.card_bytes(card) / memory.GB for card in cards]
    shown = [bill.total / memory.GB for name, bill in bills.items() if name != hidden]
    width = 1.03 * max(shown + sizes)
    figure = Figure(figsize=(8.4, 1.8 + 0.55 * len(bills)), layout="constrained")
    ax = figure.subplots()
    ax.set(xlim=(0, width), ylim=(len(bills) - 0.45, -0.55))
    _card_lines(ax, cards, sizes, width)
    unnamed: dict[str, str] = {}
    for y, (name, bill) in enumerate(bills.items()):
        if name == hidden:
            ax.text(0.01 * width, y, "?", va="center", size=18, weight="bold")
        else:
            unnamed |= _bar(ax, y, bill, width)
        total = "? GB" if name == hidden else f"{bill.total / memory.GB:.1f} GB"
        ax.text(1.02, y, total, va="center", weight="bold", transform=ax.get_yaxis_transform())
        if x := (published or {}).get(name):
            ax.plot([x], [y + 0.31], "D", ms=8, color="white", markeredgecolor="black", markeredgewidth=1.4, zorder=4)
    about = "; ◇ what others published" if published else ""
    ax.set_yticks(range(len(bills)), list(bills))
    colors = [Patch(color=color, label=name) for name, color in unnamed.items()]
    figure.legend(handles=colors, loc="outside lower center", ncols=len(colors), frameon=False, fontsize=10)
    ax.set_xlabel(f"GB at the peak of a step (dashed: what a card holds{about})")
    ax.grid(visible=False)
    return figure


def _bar(ax: Any, y: float, bill: memory.Bill, width: float) -> dict[str, str]:
    """The parts of a bill side by side; those with room for it are named, and the colours of the others returned."""
    left, unnamed = 0.0, {}
    for name, part in bill.parts.items():
        size, color = part / memory.GB, BILL_COLORS[name]
        if size:
            ax.barh(y, size, left=left, color=color, edgecolor="white", lw=0.4, height=0.62, zorder=2)
        if size > 0.0118 * len(name) * width:
            ink = "black" if color == ORANGE else "white"
            ax.text(left + size / 2, y, name, ha="center", va="center", color=ink, size=9, weight="bold", zorder=3)
        elif size > 0.004 * width:
            unnamed[name] = color
        left += size
    return unnamed


def _card_lines(ax: Any, cards: Sequence[str | float], sizes: Sequence[float], width: float) -> None:
    """A line behind the bars for each size of card, its name above, a step higher where it would touch the last."""
    by_size: dict[float, list[str]] = {}
    for card, size in zip(cards, sizes, strict=True):
        by_size.setdefault(size, []).append(f"{card:g} GB" if isinstance(card, float) else card)
    ends = [-width] * len(by_size)  # where the last name on each step ends
    for size, names in sorted(by_size.items()):
        text = ", ".join(names)
        half = 0.0072 * len(text) * width
        step = next(n for n, end in enumerate(ends) if size - half > end)
        ends[step] = size + half
        ax.axvline(size, color="black", lw=1.2, ls="--", zorder=0.5)
        style: dict[str, Any] = {"ha": "center", "va": "bottom", "color": "black", "size": 9, "weight": "bold"}
        ax.annotate(
            text, (size, 1), (0, 4 + 15 * step), textcoords="offset points", xycoords=("data", "axes fraction"), **style
        )


def totals(bills: Mapping[str, memory.Bill], hidden: str = "") -> str:
    """Each bar's total, for a text of 1,024 tokens; the hidden one is a question."""
    listed = "; ".join(
        f"{name} {'?' if name == hidden else f'{bill.total / memory.GB:.1f} GB'}" for name, bill in bills.items()
    )
    return f"What one training step of Qwen2.5-7B is planned to need (1,024 tokens, checkpointing): {listed}."


def parts(bills: Mapping[str, memory.Bill]) -> str:
    """Each bar's parts of at least 0.1 GB."""
    listed = (
        f"{name}: "
        + ", ".join(f"{part} {size / memory.GB:.1f}" for part, size in bill.parts.items() if size > 0.05 * memory.GB)
        for name, bill in bills.items()
    )
    return f"{totals(bills)} In GB, {'; '.join(listed)}."


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


@cache
def _made_for(model: str) -> int:
    """The longest text, in tokens, that a shape was made for."""
    config: Any = models.shape(model).config
    return int(config.max_position_embeddings)


def fit_ledgers(
    model: str, method: str, card: str, r: int, batch_size: int, gradient_checkpointing: str, lengths: Sequence[int]
) -> list[memory.Ledger]:
    """The plan's ledger of a training step on `card`, for each length in `lengths`.

    Raises ValueError with what to change when a setting cannot be.
    """
    if model not in models.SHAPES:
        raise ValueError(f"no shape is named {model!r}: choose from {', '.join(models.SHAPES)}.")
    if method not in memory.METHODS:
        raise ValueError(f"method {method!r} is not known: choose one of {', '.join(memory.METHODS)}.")
    tokens = [whole("sequence length", length) for length in lengths]
    job = memory.Job(
        method,
        whole("rank r", r),
        batch_size=whole("batch", batch_size),
        seq=tokens[-1],
        gradient_checkpointing=ON[gradient_checkpointing],
        # the plain AdamW would hold one more copy of all that trains during its step
        optimizer="adamw_fused" if method in memory.FULL else "adamw",
    )
    for length in tokens:
        replace(job, seq=length)  # refuses one that cannot be
    return _ledgers(model, planning.on_card(job, card), tuple(tokens))


@lru_cache(maxsize=64)  # the same before every card that computes in the same 16 bits
def _ledgers(model: str, job: memory.Job, tokens: tuple[int, ...]) -> list[memory.Ledger]:
    return memory.ledgers(model, job, tokens)


def _fit_words(card: str, about: str, ledger: memory.Ledger, longest: int, made_for: int) -> str:
    room, total = planning.card_bytes(card), ledger.bill.total
    named = {name.replace(", ", " and "): part for name, part in ledger.bill.parts.items() if part}
    parts = ", ".join(f"{name} {_size(part / memory.GB)}" for name, part in named.items())
    length = f"the longest text that fits is {longest:,} tokens" if longest else "not even 32 tokens fit"
    more = f" (the model was made for {made_for:,})" if longest > made_for else ""
    return (
        f"{about}: {total / memory.GB:.1f} GB at the peak of a step, which is {planning.SAID[ledger.moment]}. "
        f"That is {parts}. "
        f"{card} holds {room / memory.GB:.1f} GB, and a sixth should stay free. It "
        f"{_fits(room / memory.GB, total / memory.GB)}; of the lengths on the slider, {length}{more}."
    )


@cache
def _fit_backdrop(card: str, width: float) -> tuple[Backdrop, Any]:
    """One row for each part of a bill and one for their sum, before the room of a card; `width` GB across."""
    room = planning.card_bytes(card) / memory.GB
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
    return Backdrop(figure, (3.4,)), ax


def fit_scene(
    model: str, method: str, card: str, r: int, batch_size: int, gradient_checkpointing: str, seq: int
) -> Scene:
    """The bill of one training step part by part, each bar beginning where the last one ends, for every length.

    Lengths are those of LENGTHS and `seq`. Raises ValueError with what to change when a setting cannot be.
    """
    room = planning.card_bytes(card) / memory.GB
    stops = sorted({*LENGTHS, whole("sequence length", seq)})
    ledgers = fit_ledgers(model, method, card, r, batch_size, gradient_checkpointing, stops)
    totals = [ledger.bill.total / memory.GB for ledger in ledgers]
    width = room * next((w for w in (1.5, 3, 6, 12) if w * room >= 1.15 * totals[0]), 24)
    backdrop, ax = _fit_backdrop(card, width)
    longest = max((n for n, total in zip(stops, totals, strict=True) if planning.is_enough(room, total)), default=0)
    made_for = _made_for(model)
    jobs = (
        memory.Job(method, r, seq=n, batch_size=batch_size, gradient_checkpointing=ON[gradient_checkpointing])
        for n in stops
    )
    words = [
        _fit_words(card, f"{model}, {planning.describe(job)}", ledger, longest, made_for)
        for job, ledger in zip(jobs, ledgers, strict=True)
    ]
    scene = Scene(backdrop, stops, words, locked=["r"] if method in memory.FULL else [])
    left = [0.0] * len(stops)
    for row, (name, color) in enumerate(BILL_COLORS.items()):
        sizes = [ledger.bill.parts[name] / memory.GB for ledger in ledgers]
        ends = [x + size for x, size in zip(left, sizes, strict=True)]
        starts, stops_at = ([min(x, width) for x in edge] for edge in (left, ends))
        widths = [b - a for a, b in zip(starts, stops_at, strict=True)]
        scene.bar(ax, starts, row - 0.36, widths, 0.72, color)
        scene.bar(ax, starts, len(BILL_COLORS) - 0.36, widths, 0.72, color)
        _bar_end(scene, ax, width, row, ends, [_size(size) for size in sizes])
        left = ends
    _bar_end(scene, ax, width, len(BILL_COLORS), left, [f"{total:.1f} GB" for total in totals])
    verdicts = [_fits(room, total) for total in totals]
    colors = [GREEN if planning.is_enough(room, total) else VERMILION for total in totals]
    scene.text(ax, 0, -1.0, verdicts, colors, size=12)
    return scene


def _size(gb: float) -> str:
    """A part of a bill in GB; one too small for that in MB."""
    if gb >= 0.05:
        return f"{gb:.1f} GB"
    return f"{max(1, round(1000 * gb))} MB" if gb else "0 GB"


def _fits(room: float, total: float) -> str:
    """Whether `total` GB fit into `room`, and how much is free or missing."""
    if planning.is_enough(room, total):
        return f"fits: {room - total:.1f} GB free"
    if total <= room:
        return f"does not fit safely: only {room - total:.1f} GB free"
    return f"does not fit: {total - room:.1f} GB missing"


def _bar_end(scene: Scene, ax: Any, width: float, row: int, ends: Sequence[float], texts: Sequence[str]) -> None:
    """A size behind the end of its bar; at the edge, where the bar goes on beyond it, with an arrow."""
    places = [min(end + 0.008 * width, 0.86 * width) for end in ends]
    labels = [f"{text} →" if text and end > width else text for text, end in zip(texts, ends, strict=True)]
    scene.text(ax, places, row, labels, "black")


FIT = {
    "model": "Qwen2.5-7B",
    "method": "qlora",
    "card": "RTX 4090",
    "r": 16,
    "batch_size": 1,
    "gradient_checkpointing": "on",
    "seq": 1024,
}


def fit() -> Stage:
    """Choose model, method, card, rank, batch and checkpointing, and slide the length of the text."""
    controls = [
        choice("model", "model", list(models.SHAPES)),
        choice("method", "method", memory.METHODS),
        choice("card", "card", list(planning.CARDS)),
        slider("r", "rank r", [1, 2, 4, 8, 16, 32, 64, 128, 256]),
        slider("batch_size", "batch (sequences)", [1, 2, 4, 8, 16, 32]),
        choice("gradient_checkpointing", "checkpointing", list(ON)),
        slider("seq", "length (tokens)"),
    ]
    return Stage(fit_scene, "seq", controls, **FIT)


live(
    "fit",
    "bill.fit()",
    fit,
    {
        "card": ["8 GB", "12 GB", "T4", "RTX 4090", "A100 80"],
        "r": [8, 16, 64],
        "batch_size": [1, 8],
        "seq": [2**n for n in range(5, 18)],
    },
    apart=("model", "method"),
    controls=7,
)
