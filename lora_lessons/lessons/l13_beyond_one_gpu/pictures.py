"""Pictures of lesson 13: what each card holds, how a block's shards travel, what the computer holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from ... import memory, planning
from ...course.figures import BILL_COLORS
from ...drawing import BLUE, GREY, ORANGE, SKY

Part = tuple[str, str, str]  # a part's name in the picture, its colour and its hatching
FROZEN, PALE = "#b4b9be", "#e4e6e8"  # lesson 07's greys, for frozen weights and for working memory
CARD_PARTS: dict[str, Part] = {
    "shards": ("weights", FROZEN, ""),
    "scales": ("scales", "#8a9096", ""),
    "gathered": ("gathered", FROZEN, "///"),
    "activations": ("activations", BILL_COLORS["activations"], ""),
    "logits": ("logits", BILL_COLORS["logits, loss"], ""),
    "working": ("working", PALE, ""),
    "overhead": ("slack", PALE, ""),
}
HOST_PARTS: dict[str, Part] = {
    "shards": ("weights", FROZEN, ""),
    "gradients": ("for gradients", SKY, ""),
    "moments": ("moments", BILL_COLORS["moments"], ""),
    "processes": ("processes", PALE, ""),
    "at_start": ("at the start", "white", "..."),
}


def question(model: str, job: memory.Job, card: str = "24") -> tuple[Figure, str]:
    """What one card would hold alone, weights and the rest; for each of two, a question mark."""
    bill = memory.predict(model, job).bill
    weights, total = bill.weights / memory.GB, bill.total / memory.GB
    rows = {
        "one card": [("weights", FROZEN, "", weights), ("rest", PALE, "", total - weights)],
        "each of two": [],
    }
    figure, ax = _bars(rows, 1.2 * total, [f"{total:.1f} GB", "?"])
    room = _limit(ax, card)
    ax.set(xlabel="GB on each card", title=f"{model} does not fit on one card. Would it on two?")
    words = f"{model} does not fit on one card of {card} GB, and whether it fits on two is the question."
    return figure, f"{words} One card would hold {total:.1f} GB, {weights:.1f} of them weights; it has {room:.1f}."


def cards(bills: Mapping[str, planning.CardBill], card: str = "24") -> tuple[Figure, str, str]:
    """A bar a row, GB on each card, before a dashed line at what one holds."""
    rows = {name: _parts(bill, CARD_PARTS) for name, bill in bills.items()}
    totals = {name: bill.total / memory.GB for name, bill in bills.items()}
    figure, ax = _bars(rows, 1.22 * max(totals.values()), [f"{total:.1f} GB" for total in totals.values()])
    room = _limit(ax, card)
    ax.set(xlabel="GB on each card, at the fullest moment of a step", title="More cards shrink only the weights' share")
    words = f"By plan, more cards shrink only the weights' share of each card; one of {card} GB holds {room:.1f} GB."
    return figure, words, f"{_said(rows)}."


def computers(bills: Mapping[str, planning.HostBill], published: Mapping[str, float]) -> tuple[Figure, str, str]:
    """A bar a row, GB in the computer's memory; a diamond at a published figure for that row."""
    rows = {name: _parts(bill, HOST_PARTS) for name, bill in bills.items()}
    ends = [f"{bill.peak / memory.GB:.0f} GB" for bill in bills.values()]
    longest = max(bill.peak for bill in bills.values()) / memory.GB
    figure, ax = _bars(rows, 1.22 * longest, ends)
    for y, name in enumerate(rows):
        if x := published.get(name):
            ax.plot([x], [y], "D", ms=9, color="white", markeredgecolor="black", markeredgewidth=1.5, zorder=4)
    ax.set(xlabel="GB of the computer's memory (◇ published)", title="The start takes more than the training")
    told = "".join(f" Published for {name}: {x:g} GB.".replace("\n", " ") for name, x in published.items())
    words = (
        "By plan, the start (dotted) takes more of the computer's memory than the training (solid). What others "
        "published lies between the two."
    )
    return figure, words, f"{_said(rows)}.{told}"


def _parts(bill: planning.CardBill | planning.HostBill, named: Mapping[str, Part]) -> list[tuple[str, str, str, float]]:
    """The name, colour, hatching and GB of each part of a bill."""
    sizes = bill._asdict()
    return [(*named[field], sizes[field] / memory.GB) for field in named if sizes[field]]


def _limit(ax: Any, card: str) -> float:
    """A dashed line at what a card holds, with its name above; returns the GB."""
    room = planning.card_bytes(card) / memory.GB
    ax.axvline(room, color="black", lw=1.4, ls="--", zorder=2.5)
    place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    white = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    ax.annotate(f"a card of {card} GB", (room, 0), (4, 5), va="bottom", size=10, bbox=white, **place)
    return room


def _bars(
    rows: Mapping[str, list[tuple[str, str, str, float]]], width: float, ends: Sequence[str]
) -> tuple[Figure, Any]:
    """Stacked bars, and `ends` in a column at the right. A part is named where it has room, or beside the first bar."""
    figure = Figure(figsize=(7.2, 1.5 + 0.52 * len(rows)))
    ax: Any = figure.subplots()
    narrow: dict[str, float] = {}  # parts of the first bar without room for their names, and their places
    for y, (parts, end) in enumerate(zip(rows.values(), ends, strict=True)):
        left = 0.0
        for name, color, hatch, size in parts:
            ax.barh(y, size, left=left, color=color, edgecolor="#5f6368", hatch=hatch, lw=0.6, height=0.6, zorder=2)
            if size > 0.0165 * len(name) * width and not (y and hatch):  # a diamond may stand there
                box = {"facecolor": color, "edgecolor": "none", "pad": 1} if hatch else None
                ax.text(left + size / 2, y, name, ha="center", va="center", size=10, zorder=3, bbox=box)
            elif not y and size > 0.01 * width:
                narrow[name] = left + size / 2
            left += size
        ax.text(width, y, end, ha="right", va="center", weight="bold", zorder=3)
    for n, (name, x) in enumerate(narrow.items()):
        # above and below in turn, so that neighbours do not touch
        place, side = (-0.33, "bottom") if n % 2 else (0.33, "top")
        white = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        ax.text(x, place, name, ha="center", va=side, size=10, zorder=3, bbox=white)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.tick_params(axis="y", length=0)
    ax.set(xlim=(0, width), ylim=(len(rows) - 0.3, -0.8))
    ax.grid(visible=False)
    return figure, ax


def _said(rows: Mapping[str, list[tuple[str, str, str, float]]]) -> str:
    def row(name: str, parts: list[tuple[str, str, str, float]]) -> str:
        listed = ", ".join(f"{part} {size:.1f}" for part, *_, size in parts if size > 0.05)
        return f"{name} {sum(size for *_, size in parts):.1f} GB ({listed})".replace("\n", " ")

    return "; ".join(row(name, parts) for name, parts in rows.items())


STATIONS = (
    ("at rest", "each rank\nkeeps half"),
    ("all-gather", "the halves\ntravel"),
    ("use", "whole block,\nown text"),
    ("free", "half again"),
    ("reduce-\nscatter", "gradients\nof A and B"),
)
RANK_COLORS = (BLUE, ORANGE)


def journey() -> tuple[Figure, str]:
    """One block of the model on two ranks, at five stations of a training step."""
    figure = Figure(figsize=(7.2, 3.8))
    ax: Any = figure.subplots()
    for x, (name, about) in enumerate(STATIONS):
        ax.text(x + 0.4, 2.82, f"{x + 1} {name}", ha="center", va="top", weight="bold", size=11)
        ax.text(x + 0.4, 2.06, about, ha="center", va="bottom", size=10)
        last = x == len(STATIONS) - 1
        for rank in (0, 1):
            _block(ax, x, 1.1 - 1.2 * rank, rank, whole=name in ("all-gather", "use"), adapter=last)
        if name == "all-gather" or last:
            for side, color in ((0.28, BLUE), (0.52, ORANGE)):
                ends = ((x + side, 1.06), (x + side, 0.84))
                ax.annotate(
                    "", *(ends[::-1] if side < 0.4 else ends), arrowprops={"arrowstyle": "-|>", "color": color, "lw": 2}
                )
    ax.text(4.4, 0.95, "+", ha="center", va="center", weight="bold", size=13)
    ax.plot([1.04, 3.76], [-0.2, -0.2], color=GREY, lw=1.2)
    ax.text(2.4, -0.25, "2 to 4 again on the way back", ha="center", va="top", size=10)
    for rank in (0, 1):
        ax.text(-0.08, 1.55 - 1.2 * rank, f"rank {rank}", ha="right", va="center", weight="bold", size=11)
    ax.set(xlim=(-0.6, 4.85), ylim=(-0.5, 2.9), title="A block is whole only while it is used")
    ax.set_axis_off()
    words = (
        "A block is whole only while it is used. 1 At rest each of two ranks keeps its half. 2 All-gather: the halves "
        "travel, and both have the whole block. 3 Each uses it on its own text. 4 Both let the other's half go again. "
        "On the way back 2 to 4 happen once more, and then 5, reduce-scatter: the gradients of A and B are summed, and "
        "each rank keeps half of the sum."
    )
    return figure, words


def _block(ax: Any, x: float, y: float, rank: int, whole: bool, adapter: bool) -> None:
    """Two halves: those held are filled in the colour of the rank that keeps them, the other is an outline."""
    height = 0.22 if adapter else 0.45
    for half, color in enumerate(RANK_COLORS):
        held = whole or half == rank
        bottom = y + 0.22 + (1 - half) * height if adapter else y + (1 - half) * height
        style: dict[str, Any] = {"facecolor": color} if held else {"facecolor": "none", "ls": "--"}
        ax.bar(x + 0.4, height, 0.72, bottom, edgecolor=GREY, lw=1.0, **style)
