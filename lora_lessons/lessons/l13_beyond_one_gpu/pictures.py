"""Pictures of lesson 13: what each card holds, how a block's shards travel, what the computer holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from ... import memory
from ...drawing import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from ...tools import planning

Part = tuple[str, str]  # a part's name in the picture, and its colour
CARD_PARTS: dict[str, Part] = {
    "shards": ("weights and adapter", BLUE),
    "scales": ("scales", GREY),
    "gathered": ("gathered", SKY),
    "activations": ("activations", GREEN),
    "logits": ("logits", PURPLE),
    "working": ("working", "#b58900"),
    "overhead": ("slack", "#9aa0a6"),
}
HOST_PARTS: dict[str, Part] = {
    "shards": ("shards", BLUE),
    "gradients": ("for gradients", SKY),
    "moments": ("moments", GREEN),
    "processes": ("processes", GREY),
    "at_start": ("only at the start", "#c9ccd1"),
}


def alone(model: str, job: memory.Job) -> planning.CardBill:
    """What one card would hold without any sharing, in the parts of a sharded card."""
    bill = memory.predict(model, job).bill
    own = bill.base + bill.rest + bill.adapters + bill.gradients + bill.optimizer
    return planning.CardBill(own, bill.quantization, 0.0, bill.activations, bill.logits, bill.working, bill.overhead)


def cards(bills: Mapping[str, planning.CardBill], hidden: tuple[str, ...] = (), card: str = "24") -> tuple[Figure, str]:
    """A bar a row, GB on each card, before a dashed line at what one holds; a row in `hidden` is a question mark."""
    room = planning.card_bytes(card) / memory.GB
    rows = {name: [] if name in hidden else _parts(bill, CARD_PARTS) for name, bill in bills.items()}
    longest = max(room, *(sum(size for _, _, size in parts) for parts in rows.values()))
    figure, ax = _bars(rows, 1.14 * longest, "GB on each card, at the fullest moment of a step", line=room)
    ax.axvline(room, color=VERMILION, lw=1.4, ls="--", zorder=0.5)
    place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    ax.annotate(f"a card of {card} GB", (room, 1), (0, 3), ha="center", color=VERMILION, weight="bold", size=9, **place)
    return figure, f"Planned, on each card (one of {card} GB holds {room:.1f} GB): {_said(rows)}."


def computers(bills: Mapping[str, planning.HostBill], published: Mapping[str, float]) -> tuple[Figure, str]:
    """A bar a row, GB in the computer's memory; a diamond at a published figure for that row."""
    rows = {name: _parts(bill, HOST_PARTS) for name, bill in bills.items()}
    ends = [
        f"{bill.total / memory.GB:.0f} GB, at first {bill.peak / memory.GB:.0f}"
        + (f"; {published[name]:g} measured" if name in published else "")
        for name, bill in bills.items()
    ]
    longest = max(bill.peak for bill in bills.values()) / memory.GB
    figure, ax = _bars(rows, 1.8 * longest, "GB of the computer's memory (◇ measured by others)", ends)
    for y, name in enumerate(rows):
        if x := published.get(name):
            ax.plot([x], [y], "D", ms=9, color="white", markeredgecolor="black", markeredgewidth=1.5, zorder=4)
    told = "".join(f" Published for {name}: {x:g} GB." for name, x in published.items())
    return figure, f"Planned, of the computer's memory: {_said(rows)}.{told}"


def _parts(bill: planning.CardBill | planning.HostBill, named: Mapping[str, Part]) -> list[tuple[str, str, float]]:
    """The name, colour and GB of each part of a bill."""
    sizes = bill._asdict()
    return [(*named[field], sizes[field] / memory.GB) for field in named if sizes[field]]


def _bars(
    rows: Mapping[str, list[tuple[str, str, float]]],
    width: float,
    xlabel: str,
    ends: Sequence[str] = (),
    line: float = 0.0,
) -> tuple[Figure, Any]:
    """Stacked bars with their sums, or `ends`, behind them: beyond `line` where they would cover it.

    A part is named where it has room, or beside the first bar.
    """
    figure = Figure(figsize=(8.6, 1.2 + 0.55 * len(rows)))
    ax: Any = figure.subplots()
    narrow: dict[str, float] = {}  # parts of the first bar without room for their names, and their places
    for y, parts in enumerate(rows.values()):
        left = 0.0
        for name, color, size in parts:
            ax.barh(y, size, left=left, color=color, edgecolor="white", lw=0.5, height=0.62, zorder=2)
            if size > 0.0125 * len(name) * width:
                ink = "white" if color in (BLUE, GREY, GREEN, "#b58900") else "black"
                ax.text(left + size / 2, y, name, ha="center", va="center", color=ink, size=9, weight="bold", zorder=3)
            elif not y and size > 0.01 * width:
                narrow[name] = left + size / 2
            left += size
        end = ends[y] if ends else f"{left:.1f} GB" if parts else "?"
        style: dict[str, Any] = {"weight": "bold", "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1}}
        ax.annotate(
            end,
            (line if left < line < left + 0.13 * width else left, y),
            (6, 0),
            textcoords="offset points",
            va="center",
            zorder=3,
            **style,
        )
    for n, (name, x) in enumerate(narrow.items()):
        # above and below in turn, so that neighbours do not touch
        place, side = (-0.33, "bottom") if n % 2 else (0.33, "top")
        ax.text(x, place, name, ha="center", va=side, size=8, color=GREY)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(xlim=(0, width), ylim=(len(rows) - 0.4, -0.65), xlabel=xlabel)
    ax.grid(visible=False)
    return figure, ax


def _said(rows: Mapping[str, list[tuple[str, str, float]]]) -> str:
    def row(name: str, parts: list[tuple[str, str, float]]) -> str:
        if not parts:
            return f"{name} ?"
        listed = ", ".join(f"{part} {size:.1f}" for part, _, size in parts if size > 0.05)
        return f"{name} {sum(size for _, _, size in parts):.1f} GB ({listed})"

    return "; ".join(row(name, parts) for name, parts in rows.items())


STATIONS = (
    ("at rest", "each rank keeps half"),
    ("all-gather", "the halves travel"),
    ("use", "own text, whole block"),
    ("free", "half again"),
    ("reduce-scatter", "gradients of A and B"),
)
RANK_COLORS = (BLUE, ORANGE)


def journey() -> tuple[Figure, str]:
    """One block of the model on two ranks, at five stations of a training step."""
    figure = Figure(figsize=(8.8, 3.3))
    ax: Any = figure.subplots()
    for x, (name, about) in enumerate(STATIONS):
        ax.text(x + 0.4, 2.72, f"{x + 1} {name}", ha="center", weight="bold", size=10.5)
        ax.text(x + 0.4, 2.5, about, ha="center", size=8.5, color=GREY)
        for rank in (0, 1):
            _block(ax, x, 1.4 - 1.3 * rank, rank, whole=name in ("all-gather", "use"), adapter=name == "reduce-scatter")
        if name in ("all-gather", "reduce-scatter"):
            for side, color in ((0.28, BLUE), (0.52, ORANGE)):
                ends = ((x + side, 1.36), (x + side, 1.12))
                ax.annotate(
                    "", *(ends[::-1] if side < 0.4 else ends), arrowprops={"arrowstyle": "-|>", "color": color, "lw": 2}
                )
    ax.text(4.4, 1.24, "+", ha="center", va="center", weight="bold", size=13)
    ax.plot([1.04, 3.76], [-0.05, -0.05], color=GREY, lw=1.2)
    ax.text(2.4, -0.1, "2 to 4 once more on the way back", ha="center", va="top", size=8.5, color=GREY)
    for rank in (0, 1):
        ax.text(
            -0.12, 1.85 - 1.3 * rank, f"rank {rank}", ha="right", va="center", weight="bold", color=RANK_COLORS[rank]
        )
    ax.set(xlim=(-0.65, 4.9), ylim=(-0.3, 2.9))
    ax.set_axis_off()
    words = (
        "Two ranks, one block of the model. 1 At rest each rank keeps its half. 2 All-gather: the halves travel, and both "
        "have the whole block. 3 Each uses it on its own text. 4 Both let the other's half go again. On the way back 2 to 4 "
        "happen once more, and then 5, reduce-scatter: the gradients of A and B are summed, and each rank keeps half of the sum."
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
